// Package archtest holds the import rules of docs/architecture.md: its test parses the imports of every Go file of the
// module, whatever its build tags, and compares them with the table there.
//
// Caveat: the table is the rule. A test that fails for a good new import is mended in the table.
package archtest

// Package nearest suggests what a user may have meant by a name that does not exist.
//
// Caveat: names are compared byte by byte, which is right for the ASCII names of recipes, keys and networks.
package nearest

import "strings"

// Name returns the candidate that is nearest to name: the first one of which name is a part, else the first one with the
// smallest number of bytes to insert, delete or replace. Case does not matter. It returns "" if there is no candidate.
func Name(name string, candidates []string) string {
	name = strings.ToLower(name)
	for _, c := range candidates {
		if name != "" && strings.Contains(strings.ToLower(c), name) {
			return c
		}
	}
	best, least := "", 0
	for _, c := range candidates {
		if d := distance(name, strings.ToLower(c)); best == "" || d < least {
			best, least = c, d
		}
	}
	return best
}

// distance returns the number of bytes to insert, delete or replace to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // row[j] is the distance of a[:i] and b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

package checkpoint

// Read is read, for the fuzz test.
var Read = read

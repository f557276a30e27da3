//go:build !amd64 && !arm64

package kernel

// Features returns the extensions that matter to neural networks: for this kind of processor nothing is known of them.
func Features() []Feature { return nil }

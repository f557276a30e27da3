//go:build !amd64 || purego

package kernel

func candidates() []candidate { return nil }

//go:build !amd64 || purego

package kernel

func detect() []*tier { return []*tier{{name: Generic}} }

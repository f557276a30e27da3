// Package machine tells what computer the program runs on: its processor, memory and pages, as far as Linux says so in
// files. Elsewhere those fields are empty.
package machine

import (
	"bufio"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
)

// Machine describes a computer. What is not known is "" or 0.
type Machine struct {
	OS, Arch   string // as Go names them
	Go         string // version
	Processor  string
	Processors int // that the program may use
	Threads    int // that it uses (GOMAXPROCS)
	Caches     []Cache

	PageSize      int
	HugePageSize  int64
	HugePages     string // when the system uses them by itself: always, madvise, never
	Memory        int64  // bytes
	Available     int64  // bytes that programs may still take
	MemoryLimit   int64  // of the control group of the program, 0 for none
	MaxMemoryUsed int64  // bytes that this program has had in memory at once (VmHWM)
}

// Cache is one of those that the first processor has.
type Cache struct {
	Level int    `json:"level"`
	Type  string `json:"type"` // Data, Instruction, Unified
	Size  string `json:"size"` // as Linux writes it: 32K
}

// Describe returns this computer. root is its file system, os.DirFS("/").
func Describe(root fs.FS) Machine {
	m := Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(),
		Processors: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0), PageSize: os.Getpagesize(),
	}
	cpu := fields(root, "proc/cpuinfo")
	m.Processor = cpu["model name"]
	mem, self := fields(root, "proc/meminfo"), fields(root, "proc/self/status")
	m.Memory, m.Available, m.HugePageSize = kilobytes(mem["MemTotal"]), kilobytes(mem["MemAvailable"]), kilobytes(mem["Hugepagesize"])
	m.MaxMemoryUsed = kilobytes(self["VmHWM"])
	m.HugePages = chosen(text(root, "sys/kernel/mm/transparent_hugepage/enabled"))
	m.MemoryLimit = m.limit(root)
	dirs, _ := fs.Glob(root, "sys/devices/system/cpu/cpu0/cache/index*")
	for _, dir := range dirs {
		level, _ := strconv.Atoi(text(root, path.Join(dir, "level")))
		c := Cache{Level: level, Type: text(root, path.Join(dir, "type")), Size: text(root, path.Join(dir, "size"))}
		if c.Size != "" {
			m.Caches = append(m.Caches, c)
		}
	}
	return m
}

// limit returns the control group's limit of memory if it is below what there is.
func (m *Machine) limit(root fs.FS) int64 {
	for _, file := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if n, err := strconv.ParseInt(text(root, file), 10, 64); err == nil && n > 0 && (m.Memory == 0 || n < m.Memory) {
			return n
		}
	}
	return 0
}

// text returns what a small file holds, without white space around it; "" if it cannot be read.
func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// fields returns the first value of each "key: value" of a file.
func fields(root fs.FS, name string) map[string]string {
	all := map[string]string{}
	f, err := root.Open(name)
	if err != nil {
		return all
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		key, value, ok := strings.Cut(s.Text(), ":")
		if key = strings.TrimSpace(key); ok && all[key] == "" {
			all[key] = strings.TrimSpace(value)
		}
	}
	return all
}

// kilobytes returns the bytes of "123 kB", 0 for anything else.
func kilobytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil || !strings.HasSuffix(s, " kB") {
		return 0
	}
	return n * 1024
}

// chosen returns b of "a [b] c".
func chosen(s string) string {
	_, s, _ = strings.Cut(s, "[")
	s, _, ok := strings.Cut(s, "]")
	if !ok {
		return ""
	}
	return s
}

package machine_test

import (
	"os"
	"reflect"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/bnntool/bnntool/internal/machine"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func TestDescribe(t *testing.T) {
	root := fstest.MapFS{
		"proc/cpuinfo":     file("processor\t: 0\nmodel name\t: A Processor: fast\nflags\t: a b\n\nprocessor\t: 1\nmodel name\t: another\n"),
		"proc/meminfo":     file("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    500 kB\nHugepagesize:       2048 kB\n"),
		"proc/self/status": file("Name:\tbnntool\nVmHWM:\t    7000 kB\n"),
		"sys/kernel/mm/transparent_hugepage/enabled":       file("always [madvise] never\n"),
		"sys/fs/cgroup/memory.max":                         file("65536\n"),
		"sys/devices/system/cpu/cpu0/cache/index0/level":   file("1\n"),
		"sys/devices/system/cpu/cpu0/cache/index0/type":    file("Data\n"),
		"sys/devices/system/cpu/cpu0/cache/index0/size":    file("32K\n"),
		"sys/devices/system/cpu/cpu0/cache/index2/level":   file("2\n"),
		"sys/devices/system/cpu/cpu0/cache/index2/type":    file("Unified\n"),
		"sys/devices/system/cpu/cpu0/cache/index2/size":    file("512K\n"),
		"sys/devices/system/cpu/cpu0/cache/index3/level":   file("3\n"),
		"sys/devices/system/cpu/cpu0/cache/uevent/unknown": file("x"),
	}
	got := machine.Describe(root)
	want := machine.Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Processor: "A Processor: fast",
		Processors: runtime.NumCPU(), Threads: runtime.GOMAXPROCS(0),
		Caches:   []machine.Cache{{Level: 1, Type: "Data", Size: "32K"}, {Level: 2, Type: "Unified", Size: "512K"}},
		PageSize: os.Getpagesize(), HugePageSize: 2 << 20, HugePages: "madvise",
		Memory: 1000 << 10, Available: 500 << 10, MemoryLimit: 65536, MaxMemoryUsed: 7000 << 10,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestDescribeUnknown: files that are missing, or say something else, leave their fields empty.
func TestDescribeUnknown(t *testing.T) {
	for _, root := range []fstest.MapFS{{}, {
		"proc/cpuinfo":             file("no colon\n: no key\n"),
		"proc/meminfo":             file("MemTotal: many kB\nMemAvailable: 5 MB\nHugepagesize:\n"),
		"sys/fs/cgroup/memory.max": file("max\n"),
		"sys/fs/cgroup/memory/memory.limit_in_bytes": file("-1\n"),
		"sys/kernel/mm/transparent_hugepage/enabled": file("always madvise\n"),
	}} {
		got := machine.Describe(root)
		want := machine.Machine{OS: got.OS, Arch: got.Arch, Go: got.Go, Processors: got.Processors, Threads: got.Threads, PageSize: got.PageSize}
		if !reflect.DeepEqual(got, want) || got.Processors < 1 || got.PageSize < 1 {
			t.Errorf("got %+v, want only what Go knows", got)
		}
	}
}

package machine_test

import (
	"fmt"
	"os"

	"github.com/bnntool/bnntool/internal/machine"
)

// ExampleDescribe tells whether a program of 100 MB fits.
func ExampleDescribe() {
	m := machine.Describe(os.DirFS("/"))
	fits := m.Available == 0 || m.Available > 100<<20
	fmt.Println(m.Processors > 0, fits)
	// Output: true true
}

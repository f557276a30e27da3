package kernel

import "os"

// forcedTier returns the tier that the user asks for, "" for the best. The variable is this project's switch for its
// kernels; nothing else below the command line reads the environment.
func forcedTier() string { return os.Getenv("BNNTOOL_KERNELS") }

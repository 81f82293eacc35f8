package bench

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// kernel is the system's release.
func kernel() string {
	v := windows.RtlGetVersion()
	return fmt.Sprintf("%d.%d.%d", v.MajorVersion, v.MinorVersion, v.BuildNumber)
}

// Package vectors names the module whose test vectors `install` copies beside the programs.
package vectors

import _ "c2sp.org/CCTV/age"

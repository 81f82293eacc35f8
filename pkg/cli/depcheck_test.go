package cli_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/cairndata/cairn/"

// TestFloors holds the imports of every package, for every system, against the
// picture in docs/architecture.md: they go down only.
func TestFloors(t *testing.T) {
	t.Parallel()
	floors := readFloors(t)
	for _, f := range sourceFiles(t) {
		from, ok := floorOf(floors, f.pkg)
		if !ok {
			t.Errorf("%s: package %s is not in docs/architecture.md", f.path, f.pkg)
			continue
		}
		for _, imp := range f.imports() {
			to, isOurs := strings.CutPrefix(imp, module)
			if !isOurs || related(f.pkg, to) {
				continue
			}
			if floor, ok := floorOf(floors, to); !ok || floor <= from {
				t.Errorf("%s: %s may not import %s: imports go down only", f.path, f.pkg, to)
			}
		}
	}
}

// related reports whether one package lies in the other's folder.
func related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// homes are the packages that alone may import what begins with a path: the
// rest of the program sees our seam instead.
var homes = []struct {
	imports string
	within  []string
}{
	{"github.com/aws/", []string{"pkg/remote"}},
	{"cloud.google.com/", []string{"pkg/remote"}},
	{"github.com/Azure/", []string{"pkg/remote"}},
	{"github.com/go-git/", []string{"pkg/git"}},
	{"gopkg.in/yaml", []string{"pkg/yamlfmt", "pkg/git"}}, // pkg/git edits .pre-commit-config.yaml
	{"github.com/spf13/", []string{"pkg/cli"}},
	{"github.com/vbauerster/", []string{"pkg/cli/ui"}},
	{"golang.org/x/term", []string{"pkg/cli/ui"}},
	{"os/signal", []string{"pkg/cli"}},
	{"github.com/gofrs/flock", []string{"pkg/disk"}},
}

func TestImportsHaveAHome(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		for _, imp := range f.imports() {
			for _, h := range homes {
				if strings.HasPrefix(imp, h.imports) && !slices.ContainsFunc(h.within, func(p string) bool {
					return f.pkg == p || strings.HasPrefix(f.pkg, p+"/")
				}) {
					t.Errorf("%s: only %s may import %s", f.path, strings.Join(h.within, ", "), imp)
				}
			}
		}
	}
}

// mainsOwn is what belongs to the command line alone.
var mainsOwn = regexp.MustCompile(`^(` +
	`os\.(Exit|Getenv|LookupEnv|Environ|Setenv|Getwd|Chdir|UserHomeDir|UserConfigDir|UserCacheDir|Stdin|Stdout|Stderr|Args)|` +
	`fmt\.Print(f|ln)?|log\..*|flag\..*)$`)

func TestBelowTheCommandLine(t *testing.T) {
	t.Parallel()
	for _, f := range sourceFiles(t) {
		if strings.HasPrefix(f.pkg, "pkg/cli") || strings.HasPrefix(f.pkg, "cmd/") || isRig(f.pkg) {
			continue
		}
		imported := map[string]string{}
		for _, spec := range f.ast.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			name := path
			if spec.Name != nil {
				name = spec.Name.Name
			}
			imported[name] = path
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			// A local variable may have the name of a package.
			if !ok || x.Obj != nil || imported[x.Name] == "" {
				return true
			}
			if call := imported[x.Name] + "." + sel.Sel.Name; mainsOwn.MatchString(call) {
				t.Errorf("%s: %s belongs to pkg/cli", f.fset.Position(n.Pos()), call)
			}
			return true
		})
	}
}

// isRig reports whether a package is a rig for tests, which no command links.
func isRig(pkg string) bool {
	base := pkg[strings.LastIndex(pkg, "/")+1:]
	return strings.HasSuffix(base, "test") || base == "s3server" || base == "sshserver" || base == "webserver"
}

// sourceFile is one file that is no test.
type sourceFile struct {
	path string // from the repository's root
	pkg  string // folder, with slashes
	fset *token.FileSet
	ast  *ast.File
}

func (f sourceFile) imports() []string {
	var out []string
	for _, spec := range f.ast.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		out = append(out, path)
	}
	return out
}

const repoRoot = "../.."

func sourceFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	for _, top := range []string{"cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(repoRoot, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && d.Name() == "testdata" {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			fset := token.NewFileSet()
			tree, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(repoRoot, path)
			if err != nil {
				return err
			}
			files = append(files, sourceFile{
				path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), fset: fset, ast: tree,
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// readFloors reads the picture: packages by floor, counted from the top.
func readFloors(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repoRoot, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## Floors")
	if !ok {
		t.Fatal("docs/architecture.md has no section Floors")
	}
	blocks := strings.SplitN(section, "```", 3)
	if len(blocks) < 3 {
		t.Fatal("docs/architecture.md: the section Floors has no picture")
	}
	floors := map[string]int{}
	for i, line := range strings.Split(blocks[1], "\n") {
		for word := range strings.FieldsSeq(line) {
			if !strings.HasPrefix(word, "pkg/") && !strings.HasPrefix(word, "cmd/") {
				break
			}
			floors[word] = i
		}
	}
	if len(floors) < 10 {
		t.Fatalf("docs/architecture.md: the picture has %d packages only", len(floors))
	}
	return floors
}

// floorOf finds a package, or the one in whose folder it lies.
func floorOf(floors map[string]int, pkg string) (int, bool) {
	for p := pkg; p != "." && p != "/"; p = filepath.ToSlash(filepath.Dir(p)) {
		if f, ok := floors[p]; ok {
			return f, true
		}
	}
	return 0, false
}

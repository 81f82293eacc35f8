package config

import (
	"slices"
	"strings"
)

// Type is what an option's value may be.
type Type uint8

// The types. Bools are "true" or "false" in any case.
const (
	String     Type = iota
	Lower           // a name, read in lower case
	Bool            //
	Int             //
	Float           // seconds
	Choice          // one of Option.Choices, in any case
	Links           // link types, separated by commas or a list
	BoolOrPath      // a bool, or a path
	NotBool         // DVC's table wants what no file can hold: every value is refused
	NotInt          // the same
)

// String names the type for documentation.
func (t Type) String() string {
	return [...]string{"string", "name", "bool", "integer", "seconds", "choice", "link types", "bool or path", "bool", "integer"}[t]
}

// Flags are what else is to be known of an option.
type Flags uint8

// The flags.
const (
	Obsolete Flags = 1 << iota // accepted, without effect
	Path                       // kept relative to the file it stands in
	Secret                     // never printed, never in a committed file unasked
	Runs                       // names a program or code to be run
	Reads                      // names a file to be read or a folder to be written
	Weakens                    // can switch a protection off, or send credentials elsewhere
)

// Option describes one option. The table of all of them drives the checks and
// the documentation.
type Option struct {
	Section string   // "core"; "remote" and "db" for those with names
	Name    string   //
	Schemes []string // of the remote's URL, "" for a folder; nil means any
	Type    Type     //
	Choices []string //
	Min     *int     // smallest number
	Max     *int     // largest number
	Default string   // "" is none
	Flags   Flags    //
	Doc     string   // one line
}

// Has reports whether all of the flags f are set.
func (o *Option) Has(f Flags) bool { return o.Flags&f == f }

// Key is the option as the config command has it.
func (o *Option) Key() string {
	if slices.Contains(namedSections, o.Section) {
		return o.Section + ".<name>." + o.Name
	}
	return o.Section + "." + o.Name
}

// Options returns the table, section by section.
func Options() []Option { return slices.Clone(options) }

// sections are all sections in DVC's order.
var sections = []string{
	"core", "cache", "remote", "state", "index", "machine", "feature",
	"plots", "exp", "parsing", "hydra", "studio", "db",
}

// cairnSection is the one section of a cairn file.
const cairnSection = "cairn"

// remoteSchemes are the kinds of remote by the scheme of their URL; "" is a
// folder, "remote" a place below another remote, which may have any option.
var remoteSchemes = []string{
	"", "s3", "gs", "ssh", "hdfs", "webhdfs", "azure", "oss", "gdrive", "http", "https", "webdav", "webdavs", "remote",
}

var (
	zero, one, hundred = new(0), new(1), new(100)

	folder  = []string{""}
	s3      = []string{"s3"}
	gs      = []string{"gs"}
	ssh     = []string{"ssh"}
	hdfs    = []string{"hdfs"}
	webhdfs = []string{"webhdfs"}
	azure   = []string{"azure"}
	oss     = []string{"oss"}
	gdrive  = []string{"gdrive"}
	web     = []string{"http", "https"}
	dav     = []string{"webdav", "webdavs"}
)

func on(lists ...[]string) []string { return slices.Concat(lists...) }

var options = []Option{
	{Section: "core", Name: "remote", Type: Lower, Doc: "the remote used when none is named"},
	{Section: "core", Name: "checksum_jobs", Type: Int, Min: one, Doc: "files hashed at a time"},
	{Section: "core", Name: "interactive", Type: Bool, Default: "false", Doc: "ask before starting a stage"},
	{Section: "core", Name: "analytics", Type: Bool, Default: "true", Doc: "DVC's usage reports; cairn sends none"},
	{Section: "core", Name: "hardlink_lock", Type: Bool, Default: "false", Doc: "lock by hard links, for file systems without locks"},
	{Section: "core", Name: "no_scm", Type: Bool, Default: "false", Doc: "the repository is used without Git"},
	{Section: "core", Name: "autostage", Type: Bool, Default: "false", Doc: "git add the files that a command wrote"},
	{Section: "core", Name: "experiments", Type: Bool, Flags: Obsolete, Doc: "no effect"},
	{Section: "core", Name: "check_update", Type: Bool, Default: "true", Doc: "DVC's look for newer releases; cairn does not look"},
	{Section: "core", Name: "site_cache_dir", Flags: Reads, Doc: "folder for disposable state"},
	{Section: "core", Name: "machine", Type: Lower, Flags: Obsolete, Doc: "no effect"},
	{Section: "core", Name: "hash", Type: Choice, Choices: []string{"blake3", "md5"}, Default: "md5", Doc: "the hash objects are named by; DVC can use md5 repositories only"},

	{Section: "cache", Name: "local", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "s3", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "gs", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "hdfs", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "webhdfs", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "ssh", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "azure", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "dir", Flags: Path | Reads, Default: ".dvc/cache", Doc: "the cache's folder"},
	{Section: "cache", Name: "type", Type: Links, Default: "reflink,copy", Doc: "how workspace files share bytes with the cache, the first that works"},
	{Section: "cache", Name: "protected", Type: Bool, Default: "false", Flags: Obsolete, Doc: "no effect"},
	{Section: "cache", Name: "shared", Type: Choice, Choices: []string{"group"}, Doc: "group: the cache is writable by its group"},
	{Section: "cache", Name: "slow_link_warning", Type: Bool, Default: "true", Doc: "say when links take long"},
	{Section: "cache", Name: "verify", Type: Bool, Default: "false", Doc: "hash objects again when they are used"},

	{Section: "remote", Name: "url", Flags: Path, Doc: "where the remote is: a folder or a URL"},
	{Section: "remote", Name: "checksum_jobs", Type: Int, Min: one, Doc: "files hashed at a time"},
	{Section: "remote", Name: "jobs", Type: Int, Min: one, Doc: "transfers at a time"},
	{Section: "remote", Name: "worktree", Type: Bool, Doc: "mirror the workspace in the remote, by name"},
	{Section: "remote", Name: "no_traverse", Type: Bool, Flags: Obsolete, Doc: "no effect"},
	{Section: "remote", Name: "version_aware", Type: Bool, Doc: "use the versions that the bucket keeps"},
	{Section: "remote", Name: "verify", Schemes: on(folder, s3, gs, ssh, webhdfs, azure, web, dav), Type: Bool, Default: "false", Doc: "hash downloads even where the remote is trusted; cairn always does"},
	{Section: "remote", Name: "verify", Schemes: on(oss, gdrive), Type: Bool, Default: "true", Doc: "hash downloads; cairn always does"},

	{Section: "remote", Name: "type", Schemes: on(folder, ssh), Type: Links, Doc: "link types on the remote's side"},
	{Section: "remote", Name: "protected", Schemes: folder, Type: Bool, Default: "false", Flags: Obsolete, Doc: "no effect"},
	{Section: "remote", Name: "shared", Schemes: folder, Type: Choice, Choices: []string{"group"}, Doc: "group: what is written is writable by its group"},
	{Section: "remote", Name: "slow_link_warning", Schemes: folder, Type: Bool, Default: "true", Doc: "say when links take long"},

	{Section: "remote", Name: "region", Schemes: s3, Doc: "region of the bucket"},
	{Section: "remote", Name: "profile", Schemes: on(s3, gdrive), Doc: "profile of the credentials file"},
	{Section: "remote", Name: "credentialpath", Schemes: on(s3, gs), Flags: Path | Reads, Doc: "credentials file"},
	{Section: "remote", Name: "configpath", Schemes: s3, Flags: Path | Reads | Runs, Doc: "AWS config file; it can name programs"},
	{Section: "remote", Name: "endpointurl", Schemes: on(s3, gs), Flags: Weakens, Doc: "address of the server, if not the cloud's own"},
	{Section: "remote", Name: "access_key_id", Schemes: s3, Doc: "name of the access key"},
	{Section: "remote", Name: "secret_access_key", Schemes: s3, Flags: Secret, Doc: "the access key"},
	{Section: "remote", Name: "session_token", Schemes: s3, Flags: Secret, Doc: "token of temporary credentials"},
	{Section: "remote", Name: "listobjects", Schemes: s3, Type: Bool, Default: "false", Flags: Obsolete, Doc: "no effect"},
	{Section: "remote", Name: "use_ssl", Schemes: s3, Type: Bool, Default: "true", Flags: Weakens, Doc: "speak https"},
	{Section: "remote", Name: "allow_anonymous_login", Schemes: on(s3, gs), Type: Bool, Default: "false", Doc: "use no credentials"},
	{Section: "remote", Name: "allow_anonymous_login", Schemes: azure, Type: Bool, Doc: "use no credentials"},
	{Section: "remote", Name: "ssl_verify", Schemes: on(s3, web, dav, webhdfs), Type: BoolOrPath, Flags: Weakens, Doc: "check the server's certificate, or the file of authorities to check it with"},
	{Section: "remote", Name: "sse", Schemes: s3, Doc: "server-side encryption"},
	{Section: "remote", Name: "sse_kms_key_id", Schemes: s3, Doc: "key for sse=aws:kms"},
	{Section: "remote", Name: "sse_customer_algorithm", Schemes: s3, Doc: "algorithm of the customer's own key"},
	{Section: "remote", Name: "sse_customer_key", Schemes: s3, Flags: Secret, Doc: "the customer's own key"},
	{Section: "remote", Name: "acl", Schemes: s3, Doc: "canned access control list of new objects"},
	{Section: "remote", Name: "grant_read", Schemes: s3, Doc: "who may read new objects"},
	{Section: "remote", Name: "grant_read_acp", Schemes: s3, Doc: "who may read the access list of new objects"},
	{Section: "remote", Name: "grant_write_acp", Schemes: s3, Doc: "who may write the access list of new objects"},
	{Section: "remote", Name: "grant_full_control", Schemes: s3, Doc: "who may do everything with new objects"},
	{Section: "remote", Name: "cache_regions", Schemes: s3, Type: NotBool, Doc: "cannot be set in a file"},
	{Section: "remote", Name: "read_timeout", Schemes: on(s3, azure), Type: Int, Doc: "seconds without an answer"},
	{Section: "remote", Name: "connect_timeout", Schemes: s3, Type: Int, Doc: "seconds to wait for a connection"},

	{Section: "remote", Name: "projectname", Schemes: gs, Doc: "the project"},

	{Section: "remote", Name: "port", Schemes: ssh, Type: Int, Doc: "the server's port"},
	{Section: "remote", Name: "user", Schemes: on(ssh, hdfs, webhdfs, web, dav), Doc: "user name"},
	{Section: "remote", Name: "password", Schemes: on(ssh, webhdfs, web, dav), Flags: Secret, Doc: "password"},
	{Section: "remote", Name: "ask_password", Schemes: on(ssh, web, dav), Type: Bool, Doc: "ask for the password"},
	{Section: "remote", Name: "passphrase", Schemes: ssh, Flags: Secret, Doc: "pass phrase of the key file"},
	{Section: "remote", Name: "ask_passphrase", Schemes: ssh, Type: Bool, Doc: "ask for the pass phrase"},
	{Section: "remote", Name: "keyfile", Schemes: ssh, Flags: Path | Reads, Doc: "private key file"},
	{Section: "remote", Name: "timeout", Schemes: on(ssh, azure, dav), Type: Int, Doc: "seconds to wait for the server"},
	{Section: "remote", Name: "gss_auth", Schemes: ssh, Type: Bool, Doc: "log in by Kerberos"},
	{Section: "remote", Name: "allow_agent", Schemes: ssh, Type: Bool, Doc: "use the SSH agent"},
	{Section: "remote", Name: "max_sessions", Schemes: ssh, Type: Int, Doc: "sessions on one connection"},

	{Section: "remote", Name: "kerb_ticket", Schemes: hdfs, Flags: Reads, Doc: "Kerberos ticket cache"},
	{Section: "remote", Name: "replication", Schemes: hdfs, Type: NotInt, Doc: "cannot be set in a file"},
	{Section: "remote", Name: "kerberos", Schemes: webhdfs, Type: Bool, Doc: "log in by Kerberos"},
	{Section: "remote", Name: "kerberos_principal", Schemes: webhdfs, Doc: "Kerberos principal"},
	{Section: "remote", Name: "proxy_to", Schemes: webhdfs, Flags: Weakens, Doc: "user to act as"},
	{Section: "remote", Name: "use_https", Schemes: webhdfs, Type: Bool, Flags: Weakens, Doc: "speak https"},
	{Section: "remote", Name: "data_proxy_target", Schemes: webhdfs, Flags: Weakens, Doc: "proxy for the data"},

	{Section: "remote", Name: "connection_string", Schemes: azure, Flags: Secret, Doc: "connection string of the account"},
	{Section: "remote", Name: "sas_token", Schemes: azure, Flags: Secret, Doc: "shared access signature"},
	{Section: "remote", Name: "account_name", Schemes: azure, Doc: "the storage account"},
	{Section: "remote", Name: "account_key", Schemes: azure, Flags: Secret, Doc: "key of the account"},
	{Section: "remote", Name: "tenant_id", Schemes: azure, Doc: "tenant of the service principal"},
	{Section: "remote", Name: "client_id", Schemes: azure, Doc: "service principal"},
	{Section: "remote", Name: "client_secret", Schemes: azure, Flags: Secret, Doc: "secret of the service principal"},
	{Section: "remote", Name: "exclude_environment_credential", Schemes: azure, Type: Bool, Doc: "do not try credentials from the environment"},
	{Section: "remote", Name: "exclude_visual_studio_code_credential", Schemes: azure, Type: Bool, Doc: "do not try VS Code's credentials"},
	{Section: "remote", Name: "exclude_shared_token_cache_credential", Schemes: azure, Type: Bool, Doc: "do not try the shared token cache"},
	{Section: "remote", Name: "exclude_managed_identity_credential", Schemes: azure, Type: Bool, Doc: "do not try the machine's identity"},
	{Section: "remote", Name: "connection_timeout", Schemes: azure, Type: Int, Doc: "seconds to wait for a connection"},

	{Section: "remote", Name: "oss_key_id", Schemes: oss, Doc: "name of the access key"},
	{Section: "remote", Name: "oss_key_secret", Schemes: oss, Flags: Secret, Doc: "the access key"},
	{Section: "remote", Name: "oss_endpoint", Schemes: oss, Flags: Weakens, Doc: "address of the server"},

	{Section: "remote", Name: "gdrive_use_service_account", Schemes: gdrive, Type: Bool, Doc: "log in as a service account"},
	{Section: "remote", Name: "gdrive_client_id", Schemes: gdrive, Doc: "OAuth client"},
	{Section: "remote", Name: "gdrive_client_secret", Schemes: gdrive, Flags: Secret, Doc: "secret of the OAuth client"},
	{Section: "remote", Name: "gdrive_user_credentials_file", Schemes: gdrive, Flags: Path | Reads, Doc: "file for the user's credentials"},
	{Section: "remote", Name: "gdrive_service_account_user_email", Schemes: gdrive, Doc: "user the service account acts for"},
	{Section: "remote", Name: "gdrive_service_account_json_file_path", Schemes: gdrive, Flags: Path | Reads, Doc: "key file of the service account"},
	{Section: "remote", Name: "gdrive_trash_only", Schemes: gdrive, Type: Bool, Default: "false", Doc: "delete to the trash"},
	{Section: "remote", Name: "gdrive_acknowledge_abuse", Schemes: gdrive, Type: Bool, Default: "false", Flags: Weakens, Doc: "download files that are marked as abusive"},

	{Section: "remote", Name: "auth", Schemes: web, Type: Choice, Choices: []string{"basic", "digest", "custom"}, Doc: "how to log in"},
	{Section: "remote", Name: "custom_auth_header", Schemes: on(web, dav), Flags: Secret, Doc: "header that carries the password"},
	{Section: "remote", Name: "method", Schemes: web, Doc: "HTTP method of uploads"},
	{Section: "remote", Name: "connect_timeout", Schemes: web, Type: Float, Min: zero, Doc: "seconds to wait for a connection"},
	{Section: "remote", Name: "read_timeout", Schemes: web, Type: Float, Min: zero, Doc: "seconds without an answer"},
	{Section: "remote", Name: "token", Schemes: on(dav, webhdfs), Flags: Secret, Doc: "bearer or delegation token"},
	{Section: "remote", Name: "bearer_token_command", Schemes: dav, Flags: Runs, Doc: "program that prints the bearer token"},
	{Section: "remote", Name: "cert_path", Schemes: dav, Flags: Path | Reads, Doc: "client certificate"},
	{Section: "remote", Name: "key_path", Schemes: dav, Flags: Path | Reads, Doc: "key of the client certificate"},

	{Section: "state", Name: "dir", Flags: Obsolete, Doc: "no effect"},
	{Section: "state", Name: "row_limit", Type: Int, Min: one, Flags: Obsolete, Doc: "no effect"},
	{Section: "state", Name: "row_cleanup_quota", Type: Int, Min: zero, Max: hundred, Flags: Obsolete, Doc: "no effect"},
	{Section: "index", Name: "dir", Flags: Obsolete, Doc: "no effect"},

	{Section: "machine", Name: "cloud", Type: Choice, Choices: []string{"aws", "azure"}, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "region", Type: Choice, Choices: []string{"us-west", "us-east", "eu-west", "eu-north"}, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "image", Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "spot", Type: Bool, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "spot_price", Type: Float, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "instance_hdd_size", Type: Int, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "instance_type", Type: Lower, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "instance_gpu", Type: Lower, Flags: Obsolete, Doc: "no effect"},
	{Section: "machine", Name: "ssh_private", Flags: Obsolete | Secret, Doc: "no effect"},
	{Section: "machine", Name: "startup_script", Flags: Obsolete | Path, Doc: "no effect"},
	{Section: "machine", Name: "setup_script", Flags: Obsolete | Path, Doc: "no effect"},

	{Section: "feature", Name: "machine", Type: Bool, Default: "false", Flags: Obsolete, Doc: "no effect"},

	{Section: "plots", Name: "html_template", Flags: Reads, Doc: "page that plots are put into"},
	{Section: "plots", Name: "auto_open", Type: Bool, Default: "false", Doc: "open the page in a browser"},
	{Section: "plots", Name: "out_dir", Flags: Reads, Doc: "folder for the page"},

	{Section: "exp", Name: "code", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "data", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "models", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "metrics", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "params", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "plots", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "live", Flags: Obsolete, Doc: "no effect"},
	{Section: "exp", Name: "auto_push", Type: Bool, Doc: "push an experiment when it is done"},
	{Section: "exp", Name: "git_remote", Doc: "Git remote that experiments are pushed to"},

	{Section: "parsing", Name: "bool", Type: Choice, Choices: []string{"store_true", "boolean_optional"}, Default: "store_true", Doc: "how a bool becomes an argument of a command"},
	{Section: "parsing", Name: "list", Type: Choice, Choices: []string{"nargs", "append"}, Default: "nargs", Doc: "how a list becomes arguments of a command"},

	{Section: "hydra", Name: "enabled", Type: Bool, Default: "false", Doc: "compose parameters with Hydra"},
	{Section: "hydra", Name: "config_dir", Doc: "folder of the Hydra config; not with config_module"},
	{Section: "hydra", Name: "config_module", Flags: Runs, Doc: "Python module of the Hydra config; not with config_dir"},
	{Section: "hydra", Name: "config_name", Doc: "name of the Hydra config"},
	{Section: "hydra", Name: "plugins_path", Flags: Runs, Doc: "folder of Hydra plugins"},

	{Section: "studio", Name: "token", Flags: Secret, Doc: "access token"},
	{Section: "studio", Name: "url", Flags: Weakens, Doc: "address of the server"},
	{Section: "studio", Name: "repo_url", Doc: "address of the repository, if not the Git remote's"},
	{Section: "studio", Name: "offline", Type: Bool, Default: "false", Doc: "send nothing"},

	{Section: "db", Name: "url", Doc: "connection string, with scheme"},
	{Section: "db", Name: "username", Doc: "user name"},
	{Section: "db", Name: "password", Flags: Secret, Doc: "password"},

	{Section: cairnSection, Name: "resources", Doc: "what stages that run at the same time share, such as gpu=1,mem=8GB"},
	{Section: cairnSection, Name: "trash_days", Type: Int, Min: zero, Default: "7", Doc: "days that what gc deletes can be brought back; 0 deletes for good"},
	{Section: cairnSection, Name: "read_remotes", Doc: "remotes to be asked, in this order, for what a remote lacks or while it cannot be reached; separated by commas"},
	{Section: cairnSection, Name: "lock_timeout", Type: Int, Min: zero, Default: "600", Doc: "seconds to wait for another command's lock"},
}

// exclusive are pairs of options of a section that may not stand together,
// with the name of their group in DVC's message.
var exclusive = []struct{ section, a, b, group string }{
	{"hydra", "config_dir", "config_module", "config_source"},
}

// option finds an option; scheme matters for remotes only, and "*" is any.
func option(section, name, scheme string) *Option {
	for i := range options {
		o := &options[i]
		if o.Name != name || o.Section != section {
			continue
		}
		if o.Schemes == nil || scheme == "*" || slices.Contains(o.Schemes, scheme) {
			return o
		}
	}
	return nil
}

// pathOption reports whether the option is kept relative to its file. DVC asks
// only the name, whatever the kind of remote.
func pathOption(section, name string) bool {
	o := option(section, name, "*")
	return o != nil && o.Has(Path)
}

// knownNames are the options of a section, for suggestions.
func knownNames(section, scheme string) []string {
	var names []string
	for i := range options {
		o := &options[i]
		if o.Section == section && !o.Has(Obsolete) && (o.Schemes == nil || scheme == "*" || slices.Contains(o.Schemes, scheme)) {
			names = append(names, o.Name)
		}
	}
	return names
}

// Nearest is the candidate that name is most likely a slip of, or "".
func Nearest(name string, candidates []string) string {
	best, least := "", max(1, len(name)/3)+1
	for _, c := range candidates {
		if c == name {
			continue
		}
		if d := distance(name, c); d < least || strings.HasPrefix(c, name) && len(name) >= 3 && best == "" {
			best, least = c, min(d, least)
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with the next.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 { // no slip, and the work is a product
		return 64
	}
	var prev2 []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur := make([]int, len(b)+1)
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}

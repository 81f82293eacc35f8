package remote

import (
	"bufio"
	"encoding/base64"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// azureOptions are the options of an Azure Blob Storage remote, checked.
type azureOptions struct {
	container, prefix string

	endpoint string // of the account, without a slash at the end
	account  string
	key      []byte // of the account; nil if another way to log in is used
	sas      string // a query without "?"; the same

	tenant, client, secret          string // of a service principal
	anonymous                       bool
	noEnvironment, noMachine, token bool // what of the default logins is left out; one of them is used

	server, connect, read time.Duration // 0 is the default

	jobs int
}

// azureLogin is what can be said by options, variables and the files of
// Azure's command line tool.
type azureLogin struct{ connection, account, key, sas, tenant, client, secret string }

const azureSuffix = "core.windows.net"

// parseAzure reads an azure:// URL and the options that DVC knows for it.
func parseAzure(c Config, env Env) (*azureOptions, error) {
	o := &azureOptions{jobs: c.Jobs}
	cli := azureCLIConfig(env)
	if err := o.parseURL(c, cli); err != nil {
		return nil, err
	}
	var in azureLogin
	for key, value := range c.Options {
		if err := o.set(c, &in, key, value); err != nil {
			return nil, err
		}
	}
	first := func(to *string, values ...string) {
		for _, v := range values {
			if *to == "" {
				*to = v
			}
		}
	}
	first(&in.connection, cli("connection_string"))
	first(&in.account, cli("account"), env.getenv("AZURE_STORAGE_ACCOUNT_NAME"))
	first(&in.key, cli("key"), env.getenv("AZURE_STORAGE_ACCOUNT_KEY"))
	first(&in.sas, cli("sas_token"))
	first(&in.tenant, env.getenv("AZURE_STORAGE_TENANT_ID"))
	first(&in.client, env.getenv("AZURE_STORAGE_CLIENT_ID"))
	first(&in.secret, env.getenv("AZURE_STORAGE_CLIENT_SECRET"))
	switch strings.ToLower(env.getenv("AZURE_STORAGE_ANON")) {
	case "", "0", "f", "false":
	default:
		o.anonymous = true
	}
	return o, o.login(c, in)
}

func (o *azureOptions) parseURL(c Config, cli func(string) string) error {
	u, err := url.Parse(c.URL)
	if err != nil {
		return optionError(c, "url", "is not of the form azure://container/path")
	}
	if o.container = u.Host; u.Host == "" && strings.Trim(u.Path, "/") == "" {
		o.container = cli("container_name")
	}
	switch {
	case o.container == "":
		return optionError(c, "url", "is not of the form azure://container/path")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Contains(u.Host, ":"):
		return optionError(c, "url", "must be azure://container/path and nothing more")
	case strings.Contains(o.container, "."):
		return errs.WithHint(optionError(c, "url", "names the container %q, which no container can be called", o.container),
			"Write azure://CONTAINER/PATH, and name the account by itself: cairn remote modify %s account_name ACCOUNT", c.Name)
	case strings.HasPrefix(o.container, "-") || strings.ContainsAny(o.container, "/\\?#%"):
		return optionError(c, "url", "names the container %q", o.container)
	}
	if o.prefix, err = prefixOf(u.Path); err != nil {
		return optionError(c, "url", "%v", err)
	}
	return nil
}

// set takes one option. Secrets stay out of the errors.
func (o *azureOptions) set(c Config, in *azureLogin, key, value string) (err error) {
	flag := func(to *bool) { *to, err = parseBool(value) }
	seconds := func(to *time.Duration) { *to, err = parseSeconds(value) }
	switch key {
	case "url", "jobs", "checksum_jobs", "no_traverse":
		// read by the caller, or obsolete and without effect in DVC too
	case "verify", "worktree", "version_aware":
		flag(new(bool)) // cairn always verifies; the others are the caller's
	case "connection_string":
		in.connection = value
	case "account_name":
		in.account = value
	case "account_key":
		in.key = value
	case "sas_token":
		in.sas = value
	case "tenant_id":
		in.tenant = value
	case "client_id":
		in.client = value
	case "client_secret":
		in.secret = value
	case "allow_anonymous_login":
		flag(&o.anonymous)
	case "exclude_environment_credential":
		flag(&o.noEnvironment)
	case "exclude_managed_identity_credential":
		flag(&o.noMachine)
	case "exclude_visual_studio_code_credential", "exclude_shared_token_cache_credential":
		flag(new(bool)) // cairn does not look there
	case "timeout":
		seconds(&o.server)
	case "read_timeout":
		seconds(&o.read)
	case "connection_timeout":
		seconds(&o.connect)
	default:
		return errs.New(errs.Config, "remote %q: Azure remotes have no option %q", c.Name, key)
	}
	if err != nil {
		return optionError(c, key, "%v", err)
	}
	return nil
}

// login decides who to be, in the order of DVC: a connection string, the key
// of the account, a signature, a service principal, a default login.
func (o *azureOptions) login(c Config, in azureLogin) error {
	if in.connection != "" {
		return o.parseConnection(c, in.connection)
	}
	if in.account == "" {
		return errs.WithHint(errs.New(errs.Config, "remote %q: neither account_name nor connection_string is set", c.Name),
			"Name the storage account: cairn remote modify %s account_name ACCOUNT", c.Name)
	}
	if err := o.setAccount(c, "account_name", in.account); err != nil {
		return err
	}
	o.endpoint = "https://" + o.account + ".blob." + azureSuffix
	switch {
	case in.key != "":
		return o.setKey(c, "account_key", in.key)
	case in.sas != "":
		return o.setSAS(c, "sas_token", in.sas)
	case in.client != "":
		if in.tenant == "" || in.secret == "" {
			return errs.New(errs.Config, "remote %q: client_id needs tenant_id and client_secret", c.Name)
		}
		o.tenant, o.client, o.secret, o.token = in.tenant, in.client, in.secret, true
	case in.tenant != "" || in.secret != "":
		return errs.New(errs.Config, "remote %q: tenant_id and client_secret need client_id", c.Name)
	default:
		o.token = !o.anonymous
	}
	return nil
}

func (o *azureOptions) setAccount(c Config, option, name string) error {
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return optionError(c, option, "names the account %q; accounts have small letters and digits only", name)
		}
	}
	o.account = name
	return nil
}

func (o *azureOptions) setKey(c Config, option, key string) error {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 {
		return optionError(c, option, "is not a key in base64")
	}
	o.key = raw
	return nil
}

func (o *azureOptions) setSAS(c Config, option, sas string) error {
	o.sas = strings.TrimPrefix(sas, "?")
	if q, err := url.ParseQuery(o.sas); err != nil || q.Get("sig") == "" {
		return optionError(c, option, "is not a shared access signature: it has no sig=")
	}
	return nil
}

// What Azurite, the emulator, has without being told otherwise. The key is no
// secret: it is in Microsoft's documentation.
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
	emulatorURL     = "http://127.0.0.1:10000/" + emulatorAccount
)

func (o *azureOptions) parseConnection(c Config, s string) error {
	const option = "connection_string"
	part := map[string]string{}
	for field := range strings.SplitSeq(s, ";") {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		k, v, ok := strings.Cut(field, "=")
		if !ok {
			return optionError(c, option, "is not of the form Name=value;Name=value")
		}
		part[strings.ToLower(k)] = v
	}
	if strings.EqualFold(part["usedevelopmentstorage"], "true") {
		part["accountname"], part["accountkey"], part["blobendpoint"] = emulatorAccount, emulatorKey, emulatorURL
	}
	if name := part["accountname"]; name != "" {
		if err := o.setAccount(c, option, name); err != nil {
			return err
		}
	}
	if o.endpoint = strings.TrimRight(part["blobendpoint"], "/"); o.endpoint == "" {
		if o.account == "" {
			return optionError(c, option, "has neither AccountName nor BlobEndpoint")
		}
		scheme, suffix := part["defaultendpointsprotocol"], part["endpointsuffix"]
		if scheme == "" {
			scheme = "https"
		}
		if suffix == "" {
			suffix = azureSuffix
		}
		o.endpoint = scheme + "://" + o.account + ".blob." + suffix
	}
	u, err := url.Parse(o.endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return optionError(c, option, "has no usable address in BlobEndpoint, DefaultEndpointsProtocol or EndpointSuffix")
	}
	switch {
	case part["accountkey"] != "":
		if o.account == "" {
			return optionError(c, option, "has AccountKey without AccountName")
		}
		return o.setKey(c, option, part["accountkey"])
	case part["sharedaccesssignature"] != "":
		return o.setSAS(c, option, part["sharedaccesssignature"])
	}
	return nil // a public container
}

// secrets are what must never reach a message.
func (o *azureOptions) secrets() []string {
	var list []string
	if o.key != nil {
		list = append(list, base64.StdEncoding.EncodeToString(o.key))
	}
	if o.secret != "" {
		list = append(list, o.secret)
	}
	if o.sas != "" {
		list = append(list, o.sas)
		for field := range strings.SplitSeq(o.sas, "&") {
			if raw, ok := strings.CutPrefix(field, "sig="); ok {
				list = append(list, raw)
				if plain, err := url.QueryUnescape(raw); err == nil {
					list = append(list, plain)
				}
			}
		}
	}
	return list
}

// azureCLIConfig looks up options of Azure's command line tool in the
// variables AZURE_STORAGE_* and in the [storage] section of its file.
func azureCLIConfig(env Env) func(name string) string {
	dir := env.getenv("AZURE_CONFIG_DIR")
	if dir == "" && env.Home != "" {
		dir = filepath.Join(env.Home, ".azure")
	}
	var section map[string]string
	return func(name string) string {
		if v := env.getenv("AZURE_STORAGE_" + strings.ToUpper(name)); v != "" {
			return v
		}
		if section == nil {
			section = iniSection(dir, "storage")
		}
		return section[name]
	}
}

// iniSection reads a section of the file "config" in dir. A file that cannot
// be read has none: it belongs to another program.
func iniSection(dir, name string) map[string]string {
	found := map[string]string{}
	if dir == "" {
		return found
	}
	f, err := os.Open(filepath.Join(dir, "config"))
	if err != nil {
		return found
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			inside = line == "["+name+"]"
			continue
		}
		if k, v, ok := strings.Cut(line, "="); ok && inside && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			found[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return found
}

package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/cairndata/cairn/pkg/errs"
)

// gcsOptions are the options of a Google Cloud Storage remote, checked.
type gcsOptions struct {
	bucket, prefix string

	credentials string // path of a file; "" looks where Google's tools do
	endpoint    string // with scheme, without a slash at the end
	google      bool   // the endpoint is one of Google's own
	anonymous   bool

	jobs int
}

const gcsEndpoint = "https://storage.googleapis.com"

// parseGCS reads a gs:// URL and the options that DVC knows for it.
func parseGCS(c Config, env Env) (*gcsOptions, error) {
	o := &gcsOptions{jobs: c.Jobs}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return nil, optionError(c, "url", "is not of the form gs://bucket/path")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Contains(u.Host, ":") || strings.HasPrefix(u.Host, "-") {
		return nil, optionError(c, "url", "must be gs://bucket/path and nothing more")
	}
	o.bucket = u.Host
	if o.prefix, err = prefixOf(u.Path); err != nil {
		return nil, optionError(c, "url", "%v", err)
	}
	for key, value := range c.Options {
		var err error
		switch key {
		case "url", "jobs", "checksum_jobs", "no_traverse":
			// read by the caller, or obsolete and without effect in DVC too
		case "projectname":
			// DVC uses it to make and list buckets, which cairn does not do.
		case "verify", "worktree", "version_aware":
			_, err = parseBool(value) // cairn always verifies; the others are the caller's
		case "credentialpath":
			o.credentials, err = env.path(value)
		case "endpointurl":
			o.endpoint = value
		case "allow_anonymous_login":
			o.anonymous, err = parseBool(value)
		default:
			return nil, errs.New(errs.Config, "remote %q: Google Cloud remotes have no option %q", c.Name, key)
		}
		if err != nil {
			return nil, optionError(c, key, "%v", err)
		}
	}
	return o, o.setEndpoint(c, env)
}

// prefixOf makes the prefix of all keys of a URL's path: "" or with a slash at
// its end.
func prefixOf(path string) (string, error) {
	prefix := strings.Trim(path, "/")
	if prefix == "" {
		return "", nil
	}
	return prefix + "/", CheckKey(prefix)
}

func (o *gcsOptions) setEndpoint(c Config, env Env) error {
	what := "endpointurl"
	if emulator := env.getenv("STORAGE_EMULATOR_HOST"); o.endpoint == "" && emulator != "" && emulator != "default" {
		what = "STORAGE_EMULATOR_HOST"
		if o.endpoint = emulator; !strings.Contains(emulator, "://") {
			o.endpoint = "http://" + emulator
		}
	}
	if o.endpoint == "" {
		o.endpoint = gcsEndpoint
		if domain := env.getenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN"); domain != "" {
			o.endpoint = "https://storage." + domain
			what = "GOOGLE_CLOUD_UNIVERSE_DOMAIN"
		}
		o.google = true
	}
	u, err := url.Parse(o.endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return optionError(c, what, "must begin with http:// or https:// and name a host")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return optionError(c, what, "must be an address and nothing more")
	}
	o.endpoint = strings.TrimRight(o.endpoint, "/")
	o.google = o.google || strings.HasSuffix(u.Hostname(), ".googleapis.com")
	return nil
}

// gcsScope lets objects be read, written and deleted.
const gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

// gcsCredentials finds credentials where Google's own tools do: the option,
// GOOGLE_APPLICATION_CREDENTIALS, what gcloud stored, the machine's identity.
// nil is none. It reads files, and asks nobody.
func gcsCredentials(c Config, o *gcsOptions, env Env, client *http.Client) (oauth2.TokenSource, error) {
	if o.anonymous {
		return nil, nil
	}
	path, what := o.credentials, "option \"credentialpath\""
	if path == "" {
		path, what = env.getenv("GOOGLE_APPLICATION_CREDENTIALS"), "GOOGLE_APPLICATION_CREDENTIALS"
	}
	required := path != ""
	if !required {
		if path = gcloudFile(env); path == "" {
			return gcsMachine(o, env, client), nil
		}
		what = "the credentials that gcloud stored"
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !required {
		return gcsMachine(o, env, client), nil
	}
	if err != nil {
		return nil, errs.WithHint(errs.New(errs.Config, "remote %q: %s: %w", c.Name, what, err),
			"Name the key file of a service account: cairn remote modify --local %s credentialpath PATH", c.Name)
	}
	bad := func(why string) error {
		return errs.WithHint(errs.New(errs.Config, "remote %q: %s: %q %s", c.Name, what, path, why),
			"Make one with `gcloud auth application-default login`, or use the key file of a service account.")
	}
	var head struct {
		Type google.CredentialsType `json:"type"`
	}
	if json.Unmarshal(data, &head) != nil {
		return nil, bad("is not a JSON file of credentials")
	}
	switch head.Type {
	case google.ServiceAccount, google.AuthorizedUser, google.ExternalAccount, google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount:
	default:
		return nil, bad(fmt.Sprintf("holds credentials of the unknown type %q", string(head.Type)))
	}
	// The client lives in the context of the token source, whose requests are
	// bounded by the client's own limits.
	creds, err := google.CredentialsFromJSONWithType(context.WithValue(context.Background(), oauth2.HTTPClient, client), data, head.Type, gcsScope)
	if err != nil {
		return nil, bad("cannot be used") // the cause might quote the file
	}
	return creds.TokenSource, nil
}

// gcloudFile is where gcloud keeps a user's default credentials.
func gcloudFile(env Env) string {
	const name = "application_default_credentials.json"
	if dir := env.getenv("CLOUDSDK_CONFIG"); dir != "" {
		return filepath.Join(dir, name)
	}
	if runtime.GOOS == "windows" {
		if dir := env.getenv("APPDATA"); dir != "" {
			return filepath.Join(dir, "gcloud", name)
		}
		return ""
	}
	if env.Home == "" {
		return ""
	}
	return filepath.Join(env.Home, ".config", "gcloud", name)
}

// gcsMachine is the identity of a machine in Google's cloud. Elsewhere it is
// nobody, which is found out with the first request.
func gcsMachine(o *gcsOptions, env Env, client *http.Client) oauth2.TokenSource {
	host := env.getenv("GCE_METADATA_HOST")
	if host == "" && (!o.google || env.getenv("NO_GCE_CHECK") == "true") {
		return nil // an emulator, or another's server
	}
	if host == "" {
		host = "metadata.google.internal"
	}
	return &machineTokens{client: client, host: host}
}

// machineTokens asks a machine's metadata server. A nil token without an error
// means that there is none.
type machineTokens struct {
	client *http.Client
	host   string
	once   sync.Once
	absent bool
}

// machineWait is how long a metadata server may take to be found.
const machineWait = 3 * time.Second

func (m *machineTokens) Token() (*oauth2.Token, error) {
	first := false
	m.once.Do(func() { first = true })
	if m.absent {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), machineWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+m.host+"/computeMetadata/v1/instance/service-accounts/default/token?scopes="+url.QueryEscape(gcsScope), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	resp, err := m.client.Do(req)
	if err != nil {
		m.absent = first
		if first {
			return nil, nil
		}
		return nil, err
	}
	defer drain(resp)
	if resp.Header.Get("Metadata-Flavor") != "Google" || resp.StatusCode == http.StatusNotFound {
		m.absent = true
		return nil, nil
	}
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK || answer.Token == "" {
		return nil, fmt.Errorf("the machine's metadata server answered %s", resp.Status)
	}
	return &oauth2.Token{AccessToken: answer.Token, TokenType: "Bearer", Expiry: time.Now().Add(time.Duration(answer.Seconds) * time.Second)}, nil
}

// tokenCache hands out one token until it ends. Asking for a new one outlives
// the request that wanted it, and others wait for it no longer than they want.
type tokenCache struct {
	source oauth2.TokenSource

	mu      sync.Mutex
	token   *oauth2.Token
	pending *tokenCall
	none    bool // the source has none to give
}

type tokenCall struct {
	done chan struct{}
	t    *oauth2.Token
	err  error
}

// get returns a token; nil is for requests without one.
func (c *tokenCache) get(ctx context.Context) (*oauth2.Token, error) {
	if c.source == nil {
		return nil, nil
	}
	c.mu.Lock()
	if c.none || c.token.Valid() {
		defer c.mu.Unlock()
		return c.token, nil
	}
	call := c.pending
	if call == nil {
		call = &tokenCall{done: make(chan struct{})}
		c.pending = call
		go c.ask(call)
	}
	c.mu.Unlock()
	select {
	case <-call.done:
		return call.t, call.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *tokenCache) ask(call *tokenCall) {
	call.t, call.err = c.source.Token()
	c.mu.Lock()
	c.pending = nil
	if call.err == nil {
		c.token, c.none = call.t, call.t == nil
	}
	c.mu.Unlock()
	close(call.done)
}

// known reports whether there are credentials, as far as was found out.
func (c *tokenCache) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.source != nil && !c.none
}

// retrieveError takes apart the refusal of a token server; status 0 is
// something else.
func retrieveError(err error) (status int, code, detail string, header http.Header) {
	re, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok || re.Response == nil {
		return 0, "", "", nil
	}
	in := struct {
		Error  string
		Detail string `json:"error_description"`
	}{re.ErrorCode, re.ErrorDescription}
	if in.Error == "" {
		_ = json.Unmarshal(re.Body, &in) // another body says nothing
	}
	return re.Response.StatusCode, in.Error, in.Detail, re.Response.Header
}

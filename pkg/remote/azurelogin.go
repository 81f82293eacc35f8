package remote

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/oauth2"

	"github.com/cairndata/cairn/pkg/errs"
)

// signAzure adds the signature of the account's key to a request.
func signAzure(req *http.Request, account string, key []byte) {
	length := ""
	if req.ContentLength > 0 {
		length = strconv.FormatInt(req.ContentLength, 10)
	}
	h := req.Header
	lines := []string{req.Method, h.Get("Content-Encoding"), h.Get("Content-Language"), length, h.Get("Content-MD5"), h.Get("Content-Type"),
		"", // the date is in a header of Azure's own
		h.Get("If-Modified-Since"), h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Unmodified-Since"), h.Get("Range")}
	var own []string
	for name := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ms-") {
			own = append(own, lower+":"+strings.TrimSpace(h.Get(name)))
		}
	}
	slices.Sort(own)
	lines = append(lines, own...)
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	lines = append(lines, "/"+account+path)
	var query []string
	for name, values := range req.URL.Query() {
		slices.Sort(values)
		query = append(query, strings.ToLower(name)+":"+strings.Join(values, ","))
	}
	slices.Sort(query)
	lines = append(lines, query...)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.Join(lines, "\n")))
	h.Set("Authorization", "SharedKey "+account+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

const (
	azureScope = "https://storage.azure.com/.default"
	// azureMachine answers on machines in Azure, and on no other.
	azureMachine = "169.254.169.254:80"
	// azureTokenWait bounds a login with all its requests.
	azureTokenWait = time.Minute
)

// azureTokens logs in as a service principal, or as whoever the environment,
// the machine or Azure's command line tool say, the first that works.
type azureTokens struct {
	o      *azureOptions
	env    Env
	client *http.Client

	mu   sync.Mutex
	used azcore.TokenCredential // the one that worked
}

// noLoginError says what was tried, since none of it is named by an option.
type noLoginError struct{ tried []string }

func (e *noLoginError) Error() string {
	if len(e.tried) == 0 {
		return "no way to log in is left"
	}
	return "no login worked: " + strings.Join(e.tried, "; ")
}

// Token asks for a token. The lock is held meanwhile: nobody asks twice.
func (t *azureTokens) Token() (*oauth2.Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), azureTokenWait)
	defer cancel()
	if t.used != nil {
		return azureToken(ctx, t.used)
	}
	if t.o.client != "" {
		cred, err := azidentity.NewClientSecretCredential(t.o.tenant, t.o.client, t.o.secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: t.options()})
		if err != nil {
			return nil, err
		}
		return azureToken(ctx, cred)
	}
	fail := &noLoginError{}
	for _, c := range t.chain(ctx) {
		cred, err := c.make()
		if err == nil && cred == nil {
			continue // nothing there
		}
		var token *oauth2.Token
		if err == nil {
			token, err = azureToken(ctx, cred)
		}
		if err == nil {
			t.used = cred
			return token, nil
		}
		fail.tried = append(fail.tried, c.name+": "+azureLoginText(err))
	}
	return nil, fail
}

func azureToken(ctx context.Context, cred azcore.TokenCredential) (*oauth2.Token, error) {
	token, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{azureScope}})
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token.Token, TokenType: "Bearer", Expiry: token.ExpiresOn}, nil
}

// options have the SDK use our client, and leave trying again to [WithRetry].
func (t *azureTokens) options() azcore.ClientOptions {
	return azcore.ClientOptions{Transport: t.client, Retry: policy.RetryOptions{MaxRetries: -1}}
}

type azureCredential struct {
	name string
	make func() (azcore.TokenCredential, error)
}

// chain are the default logins in the order of Azure's own tools.
func (t *azureTokens) chain(ctx context.Context) []azureCredential {
	get := t.env.getenv
	tenant, client := get("AZURE_TENANT_ID"), get("AZURE_CLIENT_ID")
	list := []azureCredential{
		{"the variables AZURE_*", func() (azcore.TokenCredential, error) {
			switch {
			case t.o.noEnvironment || tenant == "" || client == "":
				return nil, nil
			case get("AZURE_CLIENT_SECRET") != "":
				return azidentity.NewClientSecretCredential(tenant, client, get("AZURE_CLIENT_SECRET"), &azidentity.ClientSecretCredentialOptions{ClientOptions: t.options()})
			case get("AZURE_CLIENT_CERTIFICATE_PATH") != "":
				return t.certificate(tenant, client)
			}
			return nil, nil
		}},
		{"workload identity", func() (azcore.TokenCredential, error) {
			file := get("AZURE_FEDERATED_TOKEN_FILE")
			if file == "" || tenant == "" || client == "" {
				return nil, nil
			}
			return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: t.options(), ClientID: client, TenantID: tenant, TokenFilePath: file})
		}},
		{"managed identity", func() (azcore.TokenCredential, error) {
			if t.o.noMachine || get("IDENTITY_ENDPOINT") == "" && get("MSI_ENDPOINT") == "" && !reachable(ctx, azureMachine) {
				return nil, nil
			}
			o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: t.options()}
			if client != "" {
				o.ID = azidentity.ClientID(client)
			}
			return azidentity.NewManagedIdentityCredential(o)
		}},
		{"Azure's command line tool", func() (azcore.TokenCredential, error) { return azidentity.NewAzureCLICredential(nil) }},
	}
	return list
}

func (t *azureTokens) certificate(tenant, client string) (azcore.TokenCredential, error) {
	data, err := os.ReadFile(t.env.getenv("AZURE_CLIENT_CERTIFICATE_PATH"))
	if err != nil {
		return nil, err
	}
	certs, key, err := azidentity.ParseCertificates(data, []byte(t.env.getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
	if err != nil {
		return nil, errors.New("the certificate cannot be used")
	}
	return azidentity.NewClientCertificateCredential(tenant, client, certs, key, &azidentity.ClientCertificateCredentialOptions{ClientOptions: t.options()})
}

// reachable reports whether there is a server at an address nearby.
func reachable(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// aadText is what the login server says went wrong, without the ids.
var aadText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`AADSTS\d+: [^"\\\r\n]*?(\.|$|"| Trace ID)`)
})

// azureLoginText is the short form of the SDK's error, which is a page.
func azureLoginText(err error) string {
	text := err.Error()
	if s := aadText().FindString(text); s != "" {
		return strings.TrimSuffix(strings.TrimSuffix(s, " Trace ID"), `"`)
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
}

// tokenError is for a login that did not work.
func (b *azureBackend) tokenError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, none := errors.AsType[*noLoginError](err); none {
		return errs.WithHint(errs.New(errs.Denied, "%s: %s", b.where, b.scrub(err.Error())),
			"Log in with `az login`, or set account_key, sas_token or connection_string of the remote (with --local), or allow_anonymous_login if the container is public.")
	}
	failed, ok := errors.AsType[*azidentity.AuthenticationFailedError](err)
	if !ok {
		if e := b.netError(ctx, err); errs.Is(e, errs.Unavailable) || errs.Is(e, errs.Config) {
			return e
		}
	}
	e := &errs.Error{Kind: errs.Denied, Msg: b.where + ": the login was refused: " + b.scrub(azureLoginText(err)),
		Hint: "Check tenant_id, client_id and client_secret of the remote."}
	if ok && failed.RawResponse != nil {
		if k := statusKind(failed.RawResponse.StatusCode); k == errs.Unavailable {
			e.Kind, e.Hint = k, ""
			return withRetryAfter(e, failed.RawResponse.StatusCode, failed.RawResponse.Header)
		}
		e.Hint = clockHint(failed.RawResponse.Header, e.Hint)
	}
	return e
}

package remote

import (
	"crypto/md5"
	"encoding/base64"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/cairndata/cairn/pkg/errs"
)

// s3Options are the options of an S3 remote, checked.
type s3Options struct {
	bucket, prefix string

	region, profile             string
	credentialPath, configPath  string
	endpoint                    string // with scheme; "" is Amazon's
	noTLS, anonymous, legacyLst bool
	accessKey, secret, session  string
	skipVerify                  bool
	caBundle                    string
	caSource                    string        // where caBundle is from, for messages
	connect, read               time.Duration // 0 is the default

	sse                              types.ServerSideEncryption
	kmsKey                           string
	customerAlg, customerKey, keyMD5 *string
	acl                              types.ObjectCannedACL
	grantRead, grantReadACP          *string
	grantWriteACP, grantFull         *string

	jobs int
}

// parseS3 reads an s3:// URL and the options that DVC knows for it. What is
// not honoured is refused by name.
func parseS3(c Config, env Env) (*s3Options, error) {
	o := &s3Options{jobs: c.Jobs}
	if err := o.parseURL(c); err != nil {
		return nil, err
	}
	for key, value := range c.Options {
		if err := o.set(c, env, key, value); err != nil {
			return nil, err
		}
	}
	// As botocore, which DVC uses; the SDK itself knows AWS_CA_BUNDLE.
	if _, set := c.Options["ssl_verify"]; !set && env.getenv("AWS_CA_BUNDLE") == "" {
		o.caBundle, o.caSource = env.getenv("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"
	}
	return o, o.check(c)
}

func (o *s3Options) parseURL(c Config) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return optionError(c, "url", "is not of the form s3://bucket/path")
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.Contains(u.Host, ":") {
		return optionError(c, "url", "must be s3://bucket/path and nothing more")
	}
	o.bucket = u.Host
	if strings.HasPrefix(o.bucket, "-") {
		return optionError(c, "url", "names the bucket %q", o.bucket)
	}
	if o.prefix = strings.Trim(u.Path, "/"); o.prefix != "" {
		if err := CheckKey(o.prefix); err != nil {
			return optionError(c, "url", "%v", err)
		}
		o.prefix += "/"
	}
	return nil
}

// set takes one option. Secrets stay out of the errors.
func (o *s3Options) set(c Config, env Env, key, value string) (err error) {
	text := func(to *string) { *to = value }
	path := func(to *string) { *to, err = env.path(value) }
	flag := func(to *bool) { *to, err = parseBool(value) }
	seconds := func(to *time.Duration) { *to, err = parseSeconds(value) }
	grant := func(to **string) { *to = &value }
	switch key {
	case "url", "jobs", "checksum_jobs", "no_traverse":
		// read by the caller, or obsolete and without effect in DVC too
	case "verify", "cache_regions":
		flag(new(bool)) // cairn always verifies, and asks for a region once
	case "worktree", "version_aware":
		flag(new(bool)) // see Open
	case "listobjects":
		flag(&o.legacyLst)
	case "region":
		text(&o.region)
	case "profile":
		text(&o.profile)
	case "credentialpath":
		path(&o.credentialPath)
	case "configpath":
		if c.Committed != nil && c.Committed(key) {
			return errs.WithHint(errs.New(errs.Denied, "remote %q: option %q names, in a committed file, an AWS config file, and such a file can name programs", c.Name, key),
				"If you trust it, say so on this machine: cairn remote modify --local %s configpath FILE", c.Name)
		}
		path(&o.configPath)
	case "endpointurl":
		text(&o.endpoint)
	case "access_key_id":
		text(&o.accessKey)
	case "secret_access_key":
		text(&o.secret)
	case "session_token":
		text(&o.session)
	case "use_ssl":
		flag(&o.noTLS)
		o.noTLS = !o.noTLS
	case "allow_anonymous_login":
		flag(&o.anonymous)
	case "ssl_verify":
		on, berr := parseBool(value)
		if o.skipVerify = berr == nil && !on; berr != nil {
			path(&o.caBundle)
			o.caSource = `option "ssl_verify"`
		}
	case "read_timeout":
		seconds(&o.read)
	case "connect_timeout":
		seconds(&o.connect)
	case "sse":
		o.sse = types.ServerSideEncryption(value)
		if !slices.Contains(o.sse.Values(), o.sse) {
			return optionError(c, key, "is %q; S3 knows AES256, aws:kms and aws:kms:dsse", value)
		}
	case "sse_kms_key_id":
		text(&o.kmsKey)
	case "sse_customer_algorithm":
		o.customerAlg = &value
	case "sse_customer_key":
		o.customerKey = &value
	case "acl":
		o.acl = types.ObjectCannedACL(value)
		if !slices.Contains(o.acl.Values(), o.acl) {
			return optionError(c, key, "is %q, which is none of S3's", value)
		}
	case "grant_read":
		grant(&o.grantRead)
	case "grant_read_acp":
		grant(&o.grantReadACP)
	case "grant_write_acp":
		grant(&o.grantWriteACP)
	case "grant_full_control":
		grant(&o.grantFull)
	default:
		return errs.New(errs.Config, "remote %q: S3 remotes have no option %q", c.Name, key)
	}
	if err != nil {
		return optionError(c, key, "%v", err)
	}
	return nil
}

// check refuses options that contradict each other.
func (o *s3Options) check(c Config) error {
	grants := o.grantRead != nil || o.grantReadACP != nil || o.grantWriteACP != nil || o.grantFull != nil
	switch {
	case o.acl != "" && grants:
		return errs.New(errs.Config, "remote %q: acl and grant_* exclude each other", c.Name)
	case o.kmsKey != "" && o.customerKey != nil:
		return errs.New(errs.Config, "remote %q: sse_kms_key_id and sse_customer_key exclude each other", c.Name)
	case o.sse != "" && o.customerKey != nil:
		return errs.New(errs.Config, "remote %q: sse and sse_customer_key exclude each other", c.Name)
	case o.customerAlg != nil && o.customerKey == nil:
		return errs.New(errs.Config, "remote %q: sse_customer_algorithm needs sse_customer_key", c.Name)
	case (o.accessKey == "") != (o.secret == ""):
		return errs.New(errs.Config, "remote %q: access_key_id and secret_access_key need each other", c.Name)
	case o.session != "" && o.accessKey == "":
		return errs.New(errs.Config, "remote %q: session_token needs access_key_id and secret_access_key", c.Name)
	}
	if err := o.checkEndpoint(c); err != nil {
		return err
	}
	if o.customerKey == nil {
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(*o.customerKey)
	if err != nil || len(raw) != 32 {
		return optionError(c, "sse_customer_key", "is not 32 bytes in base64")
	}
	sum := md5.Sum(raw)
	text := base64.StdEncoding.EncodeToString(sum[:])
	o.keyMD5 = &text
	if o.customerAlg == nil {
		alg := "AES256"
		o.customerAlg = &alg
	}
	return nil
}

func (o *s3Options) checkEndpoint(c Config) error {
	if o.endpoint == "" {
		return nil
	}
	u, err := url.Parse(o.endpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return optionError(c, "endpointurl", "must begin with http:// or https:// and name a host")
	case u.User != nil:
		return optionError(c, "endpointurl", "must not hold a user or password; use access_key_id and secret_access_key")
	case u.RawQuery != "" || u.Fragment != "":
		return optionError(c, "endpointurl", "must not hold %q", "?"+u.RawQuery)
	}
	return nil
}

// secrets are what must never reach a message.
func (o *s3Options) secrets() []string {
	var list []string
	for _, s := range []string{o.secret, o.session} {
		if s != "" {
			list = append(list, s)
		}
	}
	if o.customerKey != nil {
		list = append(list, *o.customerKey)
	}
	return list
}

func optionError(c Config, option, format string, args ...any) error {
	return errs.New(errs.Config, "remote %q: option %q %w", c.Name, option, errs.New(errs.Config, format, args...))
}

// parseBool reads a boolean as DVC does.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errs.New(errs.Config, "is %q, not true or false", s)
}

func parseSeconds(s string) (time.Duration, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n > 0) || n > 1e6 {
		return 0, errs.New(errs.Config, "is %q, not a number of seconds above 0", s)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// path expands a leading "~".
func (e Env) path(p string) (string, error) {
	if p != "~" && !strings.HasPrefix(p, "~/") {
		return p, nil
	}
	if e.Home == "" {
		return "", errs.New(errs.Config, "is %q, but there is no home folder", p)
	}
	return filepath.Join(e.Home, p[1:]), nil
}

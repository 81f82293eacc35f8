package remote

import (
	"context"
	"time"

	"github.com/cairndata/cairn/pkg/errs"
)

// davTokenTime is how long a program may take for a token, unless timeout
// says otherwise: as long as DVC lets it.
const davTokenTime = 30 * time.Second

// parseWebDAV reads a webdav:// or webdavs:// URL and the options that DVC
// knows for it. What is not honoured is refused by name.
func parseWebDAV(ctx context.Context, c Config, env Env) (*webOptions, error) {
	o := &webOptions{connect: webTimeout, read: webTimeout, tokenTime: davTokenTime}
	if err := o.parseURL(c, "dav"); err != nil {
		return nil, err
	}
	command := ""
	for key, value := range c.Options {
		var err error
		switch key {
		case "token":
			o.token = value
		case "bearer_token_command":
			command = value
		case "cert_path":
			o.certFile, err = env.path(value)
		case "key_path":
			o.keyFile, err = env.path(value)
		case "timeout":
			if o.read, err = parseSeconds(value); err == nil {
				o.connect, o.tokenTime = o.read, o.read
			}
		default:
			if known, oerr := o.set(env, key, value); oerr != nil {
				err = oerr
			} else if !known {
				return nil, errs.New(errs.Config, "remote %q: WebDAV remotes have no option %q", c.Name, key)
			}
		}
		if err != nil {
			return nil, optionError(c, key, "%w", err)
		}
	}
	o.fromURL(c)
	if command != "" {
		if err := o.setCommand(c, command); err != nil {
			return nil, err
		}
	}
	// The first that is there counts, as in DVC.
	switch {
	case o.token != "" || len(o.tokenCommand) > 0:
		o.auth = authToken
	case o.user != "":
		if err := o.passwordFor(ctx, c, env, o.user); err != nil {
			return nil, err
		}
		o.auth = authLogin
	case o.header != "":
		if err := o.passwordFor(ctx, c, env, o.header); err != nil {
			return nil, err
		}
		o.auth = authHeader
	case o.password != "" || o.ask:
		return nil, needs(c, "a password", "user or custom_auth_header")
	}
	return o, o.check(c)
}

// passwordFor asks for what is missing, if it may.
func (o *webOptions) passwordFor(ctx context.Context, c Config, env Env, user string) error {
	if o.password != "" || !o.ask {
		return nil
	}
	return o.askPassword(ctx, c, env, user)
}

// setCommand takes the program that prints a token, unless it came with the
// repository.
func (o *webOptions) setCommand(c Config, command string) error {
	const key = "bearer_token_command"
	if c.Committed != nil && c.Committed(key) {
		return errs.WithHint(errs.New(errs.Denied, "remote %q: option %q names a program in a committed file; it is not run", c.Name, key),
			"If you trust it: cairn remote modify --local %s %s %q", c.Name, key, command)
	}
	words, ok := splitWords(command)
	if !ok || len(words) == 0 || words[0] == "" {
		return optionError(c, key, "is not a command: a quote is open, or it is empty")
	}
	if o.token != "" {
		return errs.New(errs.Config, "remote %q: token and %s exclude each other", c.Name, key)
	}
	o.tokenCommand = words
	return nil
}

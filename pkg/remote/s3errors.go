package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/cairndata/cairn/pkg/errs"
)

// s3Failure is what the SDK, through whatever wraps it, says of a failure.
type s3Failure struct {
	code, msg string
	status    int
	header    http.Header
}

func parseFailure(err error) (f s3Failure) {
	if ae, ok := errors.AsType[smithy.APIError](err); ok {
		f.code, f.msg = ae.ErrorCode(), ae.ErrorMessage()
	}
	if re, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		f.status = re.HTTPStatusCode()
		if re.Response != nil && re.Response.Response != nil {
			f.header = re.Response.Header
		}
	}
	if f.header == nil {
		f.header = http.Header{}
	}
	return f
}

// translate gives an SDK error its class, a short text without secrets, and
// a remedy.
func (b *s3Backend) translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled
	}
	if ours, ok := errors.AsType[*errs.Error](err); ok {
		return ours // from the reader of an upload, or from listGuard
	}
	f := parseFailure(err)
	if f.code == "NoSuchBucket" {
		return b.noBucket()
	}
	kind, hint := b.classify(f, err)
	e := &errs.Error{Kind: kind, Msg: b.where + ": " + b.scrub(f.text(err)), Hint: hint}
	if after := f.header.Get("Retry-After"); kind == errs.Unavailable && (after != "" || f.throttled()) {
		return Throttled(e, parseRetryAfter(after))
	}
	return e
}

// throttled reports whether the server wants fewer requests.
func (f s3Failure) throttled() bool {
	switch f.code {
	case "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable":
		return true
	}
	return f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable
}

func (f s3Failure) text(err error) string {
	// Without a body, the SDK makes code and message of the status.
	bare := strings.ReplaceAll(f.msg, " ", "") == f.code
	switch {
	case f.status != 0 && (f.code == "" || bare):
		return fmt.Sprintf("the server answered %d %s", f.status, http.StatusText(f.status))
	case f.msg != "" && f.code != "":
		return f.code + ": " + f.msg
	case f.code != "":
		return f.code
	}
	if _, why, ok := strings.Cut(err.Error(), "get credentials: "); ok {
		if strings.Contains(why, "no EC2 IMDS role found") {
			return "no credentials were found" // the last place of many that were looked at
		}
		return why
	}
	// The innermost error of a chain of operation names says what happened.
	for _, t := range []func() (error, bool){
		func() (error, bool) { e, ok := errors.AsType[*tls.CertificateVerificationError](err); return e, ok },
		func() (error, bool) { e, ok := errors.AsType[*net.OpError](err); return e, ok },
		func() (error, bool) { e, ok := errors.AsType[*net.DNSError](err); return e, ok },
		func() (error, bool) {
			e, ok := errors.AsType[*url.Error](err)
			if !ok {
				return nil, false
			}
			return e.Err, true
		},
	} {
		if e, ok := t(); ok {
			return e.Error()
		}
	}
	return err.Error()
}

// scrub takes secrets out of a message and keeps it to one line.
func (b *s3Backend) scrub(msg string) string {
	for _, s := range b.o.secrets() {
		msg = strings.ReplaceAll(msg, s, "***")
	}
	msg = strings.Join(strings.Fields(msg), " ")
	if len(msg) > 500 {
		msg = strings.ToValidUTF8(msg[:500], "") + "..."
	}
	return msg
}

func (b *s3Backend) classify(f s3Failure, err error) (errs.Kind, string) {
	region := f.header.Get("X-Amz-Bucket-Region")
	switch f.code {
	case "NoSuchKey", "NoSuchVersion":
		return errs.NotFound, ""
	case "InvalidBucketName", "AllAccessDisabled":
		return errs.Config, fmt.Sprintf("Check the bucket's name: cairn remote modify %s url s3://BUCKET/PATH", b.name)
	case "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "InvalidLocationConstraint":
		if region == "" {
			region = "REGION"
		}
		return errs.Config, fmt.Sprintf("The bucket is in another region: cairn remote modify %s region %s", b.name, region)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidClientTokenId", "MissingAuthenticationToken":
		return errs.Denied, "Check the credentials of the remote, its profile, or the AWS_* variables."
	case "AccessDenied", "Forbidden", "AccountProblem", "NotSignedUp", "InvalidPayer":
		return errs.Denied, "Check that these credentials may list, read and write the bucket; a wrong region or endpointurl can look like this too."
	case "RequestTimeTooSkewed":
		return errs.Config, "The clock of this machine is wrong."
	case "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable", "InternalError", "RequestTimeout", "BadDigest", "IncompleteBody", "OperationAborted", "XAmzContentSHA256Mismatch", "NoSuchUpload":
		return errs.Unavailable, ""
	case "NotImplemented", "MethodNotAllowed":
		return errs.Unsupported, ""
	case "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge", "InvalidObjectState":
		return errs.Conflict, ""
	}
	switch {
	case f.status == http.StatusNotFound:
		return errs.NotFound, ""
	case f.status == http.StatusUnauthorized, f.status == http.StatusForbidden:
		return errs.Denied, "Check the credentials and the region of the remote."
	case f.status == http.StatusMovedPermanently, f.status == http.StatusBadRequest && region != "" && region != b.region:
		return errs.Config, fmt.Sprintf("The bucket is in another region: cairn remote modify %s region %s", b.name, region)
	case f.status == http.StatusBadRequest && (f.code == "" || f.code == "BadRequest") && strings.HasPrefix(b.o.endpoint, "http://"):
		return errs.Config, fmt.Sprintf("If the server wants https: cairn remote modify %s endpointurl https://...", b.name)
	case f.status == http.StatusTooManyRequests, f.status == http.StatusRequestTimeout, f.status >= 500 && f.status != http.StatusNotImplemented && f.status != http.StatusInsufficientStorage:
		return errs.Unavailable, ""
	case f.status >= 300:
		return errs.Other, ""
	}
	return b.classifyNet(err)
}

// classifyNet classifies a failure without an answer.
func (b *s3Backend) classifyNet(err error) (errs.Kind, string) {
	_, badCert := errors.AsType[*tls.CertificateVerificationError](err)
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, netErr := errors.AsType[net.Error](err)
	_, noXML := errors.AsType[*smithy.DeserializationError](err)
	text := err.Error()
	switch {
	case badCert || unknownCA:
		return errs.Config, fmt.Sprintf("If the server's certificate is to be trusted: cairn remote modify %s ssl_verify PATH-OF-CA-BUNDLE", b.name)
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return errs.Config, fmt.Sprintf("The server speaks http: cairn remote modify %s endpointurl http://...", b.name)
	case strings.Contains(text, "get credentials") || strings.Contains(text, "get identity"):
		return errs.Denied, "There are no credentials: set access_key_id and secret_access_key of the remote (with --local), a profile, the AWS_* variables, or allow_anonymous_login."
	case netErr, errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(text, "connection reset"), strings.Contains(text, "server closed idle connection"), strings.Contains(text, "transport connection broken"):
		return errs.Unavailable, "Check the network, and the remote's endpointurl."
	case noXML:
		return errs.Config, "What answers there is not S3: check endpointurl, and proxies on the way."
	}
	return errs.Other, ""
}

func parseRetryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 {
		return time.Duration(min(n, 86400)) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

//! The file server behind every static site: `wharf static --root /site`, alone in an image FROM scratch.
//!
//! Finding a file, conditional and range requests, ETags and precompressed variants are tower-http's; this module adds what a site needs
//! around them: clean addresses, the page for unknown paths, the fallback of single-page apps, cache lifetimes and headers.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

mod names;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use self::names::{decode, encode, hidden, lifetime, one_slash};

type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// How long open requests may take after the order to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes read from a file at once; small, because many slow readers share little memory.
const CHUNK: usize = 16 * 1024;
/// Pause after a failed accept (no file descriptors left), so that it does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What to serve and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticOptions {
    /// Folder with the site.
    pub root: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Unknown paths without a file extension get the index page.
    pub spa: bool,
    /// Page for unknown paths, relative to the root.
    pub not_found: Option<String>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StaticError {
    /// The folder is not there.
    #[error("the site folder {0} is not there or is no folder")]
    NoRoot(PathBuf),
    /// The address is taken or not allowed.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The process can't receive SIGTERM.
    #[error("can't wait for the order to stop")]
    Signal(#[source] std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then finishes open requests.
///
/// # Errors
/// The folder is missing or the address can't be listened on.
pub async fn serve(options: StaticOptions) -> Result<(), StaticError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(StaticError::Signal)?;
    let mut int = signal(SignalKind::interrupt()).map_err(StaticError::Signal)?;
    let listener = bind(&options).await?;
    serve_until(options, listener, async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
    .await
}

async fn bind(options: &StaticOptions) -> Result<TcpListener, StaticError> {
    TcpListener::bind(options.listen).await.map_err(|source| StaticError::Listen { address: options.listen, source })
}

/// Serves on a listener until `stop` is done, then finishes open requests.
///
/// # Errors
/// The folder is missing.
pub async fn serve_until(
    options: StaticOptions,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), StaticError> {
    if !options.root.is_dir() {
        return Err(StaticError::NoRoot(options.root));
    }
    let site = Site::new(options);
    let mut builder = http1::Builder::new(); // the ingress in front speaks HTTP/1.1 with its backends
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(CHUNK);
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => { tokio::time::sleep(ACCEPT_PAUSE).await; continue }
            },
        };
        let site = site.clone();
        let service = hyper::service::service_fn(move |request| {
            let site = site.clone();
            async move { Ok::<_, Infallible>(site.answer(request).await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        // A connection that ends with an error was ended by its client; there is nobody to tell.
        tokio::spawn(async move { connection.await.is_ok() });
    }
    drop(listener);
    tokio::select! { () = graceful.shutdown() => {}, () = tokio::time::sleep(DRAIN) => {} }
    Ok(())
}

#[derive(Clone)]
struct Site {
    root: PathBuf,
    spa: bool,
    not_found: Option<String>,
    files: ServeDir,
}

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// A file, as a path from the root that begins with `/`, percent-encoded.
    File(String),
    /// The address that should be used instead.
    Redirect(String),
    Missing,
}

impl Site {
    fn new(options: StaticOptions) -> Self {
        let files = ServeDir::new(&options.root)
            .append_index_html_on_directories(false)
            .precompressed_br()
            .precompressed_gzip()
            .with_buf_chunk_size(CHUNK);
        Self { root: options.root, spa: options.spa, not_found: options.not_found, files }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let mut response = if request.method() == Method::GET || request.method() == Method::HEAD {
            self.find_and_serve(request).await
        } else {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        };
        secure(response.headers_mut());
        response
    }

    async fn find_and_serve(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        match self.resolve(parts.uri.path()) {
            Target::Redirect(path) => redirect(&path, parts.uri.query()),
            Target::File(path) => self.file(&path, &parts.method, &parts.headers).await,
            Target::Missing => self.missing(&parts.method, &parts.headers).await,
        }
    }

    /// The page for unknown paths, whole and with status 404; conditions and ranges are about another file.
    async fn missing(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let mut accepted = HeaderMap::new();
        if let Some(encodings) = headers.get(header::ACCEPT_ENCODING) {
            accepted.insert(header::ACCEPT_ENCODING, encodings.clone());
        }
        let mut response = match &self.not_found {
            Some(page) => self.file(&format!("/{}", page.trim_start_matches('/')), method, &accepted).await,
            None => plain(StatusCode::NOT_FOUND),
        };
        *response.status_mut() = StatusCode::NOT_FOUND;
        response.headers_mut().remove(header::ETAG);
        response.headers_mut().remove(header::LAST_MODIFIED);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    async fn file(&self, path: &str, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let Ok(uri) = path.parse::<Uri>() else {
            return plain(StatusCode::NOT_FOUND);
        };
        let mut request = Request::new(http_body_util::Empty::<Bytes>::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers.clone();
        let Ok(response) = self.files.clone().oneshot(request).await;
        if response.status() == StatusCode::NOT_FOUND || response.status() == StatusCode::TEMPORARY_REDIRECT {
            return plain(StatusCode::NOT_FOUND);
        }
        let mut response = response.map(BodyExt::boxed_unsync);
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime(path)));
        utf8(headers);
        response
    }

    fn resolve(&self, path: &str) -> Target {
        let Some(name) = decode(path) else {
            return Target::Missing;
        };
        let trimmed = name.trim_matches('/');
        if hidden(trimmed) {
            return Target::Missing;
        }
        if let Some(clean) = path.strip_suffix("/index.html") {
            return Target::Redirect(one_slash(&format!("{clean}/")));
        }
        let is_file = |relative: &str| inside(&self.root, relative);
        if name.ends_with('/') || trimmed.is_empty() {
            let index = if trimmed.is_empty() { "index.html".to_owned() } else { format!("{trimmed}/index.html") };
            if is_file(&index) {
                return Target::File(encode(&index));
            }
            if !trimmed.is_empty() && (is_file(trimmed) || is_file(&format!("{trimmed}.html"))) {
                return Target::Redirect(one_slash(path.trim_end_matches('/')));
            }
            return self.fallback(trimmed);
        }
        if is_file(trimmed) {
            return Target::File(encode(trimmed));
        }
        let page = format!("{trimmed}.html");
        if is_file(&page) {
            return Target::File(encode(&page));
        }
        if is_file(&format!("{trimmed}/index.html")) {
            return Target::Redirect(one_slash(&format!("{path}/")));
        }
        self.fallback(trimmed)
    }

    /// Addresses of a single-page app have no file extension; a missing script must stay missing, or the browser reads HTML as one.
    fn fallback(&self, trimmed: &str) -> Target {
        let last = trimmed.rsplit('/').next().unwrap_or_default();
        if self.spa && !last.contains('.') && inside(&self.root, "index.html") {
            return Target::File("/index.html".into());
        }
        Target::Missing
    }
}

/// Whether a regular file is at this path of the site, also after links are followed.
fn inside(root: &Path, relative: &str) -> bool {
    let (Ok(root), Ok(path)) = (root.canonicalize(), root.join(relative).canonicalize()) else {
        return false;
    };
    path.starts_with(&root) && path.is_file()
}

fn utf8(headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let with = match kind {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" | "application/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "text/markdown" => "text/markdown; charset=utf-8",
        "text/csv" => "text/csv; charset=utf-8",
        _ => return,
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(with));
}

/// Headers that no site minds. What may be embedded or loaded is the site's own decision.
fn secure(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
}

fn redirect(path: &str, query: Option<&str>) -> Response<Body> {
    let location = query.map_or_else(|| path.to_owned(), |q| format!("{path}?{q}"));
    let mut response = plain(StatusCode::PERMANENT_REDIRECT);
    match HeaderValue::from_str(&location) {
        Ok(value) => response.headers_mut().insert(header::LOCATION, value),
        Err(_) => return plain(StatusCode::NOT_FOUND),
    };
    response
}

/// An answer with the status in words as its body.
fn plain(status: StatusCode) -> Response<Body> {
    let text = format!("{}\n", status.canonical_reason().unwrap_or_default());
    let body = http_body_util::Full::from(text).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

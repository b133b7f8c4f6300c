//! This process as a key service for others.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::body::Body;
use tonic::codegen::{BoxFuture, Context, Poll, Service, http};
use tonic::server::UnaryService;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::proto::{DECRYPT, DecryptRequest, DecryptResponse, ENCRYPT, EncryptRequest, EncryptResponse, Key};
use crate::keyring::KeyService;
use crate::net::Net;
use crate::provider::{MasterKey, ProviderError, WrappedKey};
use crate::secret::KeyPart;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To wrap a key part.
    Encrypt,
    /// To unwrap one.
    Decrypt,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Encrypt => "encrypt",
            Operation::Decrypt => "decrypt",
        })
    }
}

/// A client's request, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// What is asked for.
    pub operation: Operation,
    /// With which key.
    pub key: MasterKey,
}

/// Who watches over the requests: the human at the server, or nobody.
pub trait Attendant: Send + Sync + 'static {
    /// Whether the request may be fulfilled. It is asked before anything is done, unlike in sops, which acts first.
    ///
    /// It may block, and is asked from several threads.
    fn allows(&self, request: &KeyRequest) -> bool;

    /// Hears what became of a request: nothing, or the reason why it failed.
    fn answered(&self, request: &KeyRequest, failure: Option<&str>);
}

/// A socket that clients can reach; what `net.Listen` of Go takes.
pub struct Listener {
    socket: Socket,
    shown: String,
    is_open_to_the_network: bool,
}

enum Socket {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The kind of network does not exist.
    #[error("unknown network {0}")]
    Network(String),
    /// The text is not of the form `host:port`.
    #[error("address {0}: it is not of the form host:port")]
    Address(String),
    /// The operating system refuses.
    #[error("{address}: {source}")]
    Bind {
        /// The address.
        address: String,
        /// Its reason.
        source: io::Error,
    },
}

impl Listener {
    /// Listens on `address` of `network`, which is `tcp`, `tcp4`, `tcp6` or `unix`.
    ///
    /// SOPS 3.13: a file in the place of the socket is an error, even one that a dead server left. The socket is for
    /// its owner only; sops leaves that to the umask. Call it while there is one thread: it changes the umask.
    pub fn bind(network: &str, address: &str) -> Result<Self, ListenError> {
        match network {
            "tcp" | "tcp4" | "tcp6" => Self::bind_tcp(network, address),
            #[cfg(unix)]
            "unix" => Self::bind_unix(Path::new(address)),
            other => Err(ListenError::Network(other.to_owned())),
        }
    }

    fn bind_tcp(network: &str, address: &str) -> Result<Self, ListenError> {
        let malformed = || ListenError::Address(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
        let port: u16 = port.parse().map_err(|_| malformed())?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let failed = |source| ListenError::Bind { address: format!("{network}://{address}"), source };
        let is_taken = |found: &SocketAddr| match network {
            "tcp4" => found.is_ipv4(),
            "tcp6" => found.is_ipv6(),
            _ => true,
        };
        let candidates: Vec<SocketAddr> = match (host, network) {
            // Go: no host is every address of the machine.
            ("", "tcp4") => vec![SocketAddr::from(([0, 0, 0, 0], port))],
            ("", _) => vec![SocketAddr::from(([0_u16; 8], port)), SocketAddr::from(([0, 0, 0, 0], port))],
            _ => std::net::ToSocketAddrs::to_socket_addrs(&(host, port))
                .map_err(failed)?
                .filter(is_taken)
                .collect(),
        };
        let listener = std::net::TcpListener::bind(&*candidates).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok(Self {
            shown: format!("{network}://{bound}"),
            is_open_to_the_network: !bound.ip().is_loopback(),
            socket: Socket::Tcp(listener),
        })
    }

    #[cfg(unix)]
    fn bind_unix(path: &Path) -> Result<Self, ListenError> {
        use rustix::fs::Mode;
        use std::os::unix::net::UnixListener;

        let shown = format!("unix://{}", path.display());
        let before = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(|source| ListenError::Bind { address: shown.clone(), source })?;
        let file = SocketFile(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        Ok(Self { socket: Socket::Unix(listener, file), shown, is_open_to_the_network: false })
    }

    /// The address with its port.
    pub fn address(&self) -> &str {
        &self.shown
    }

    /// Whether other machines may reach it.
    pub fn is_open_to_the_network(&self) -> bool {
        self.is_open_to_the_network
    }
}

/// The file of a socket, which goes when the server goes.
#[cfg(unix)]
struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        // Who removed it before has done the same.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What does the work of one request. Made anew for each, so that keys that came or went count.
type MakeService = dyn Fn() -> Box<dyn KeyService> + Send + Sync;

/// A key service.
#[derive(Clone)]
pub struct Server {
    make_service: Arc<MakeService>,
    attendant: Arc<dyn Attendant>,
}

impl Server {
    /// A server that lets what `make_service` makes do the work, if `attendant` allows it.
    pub fn new(
        make_service: impl Fn() -> Box<dyn KeyService> + Send + Sync + 'static,
        attendant: impl Attendant,
    ) -> Self {
        Self { make_service: Arc::new(make_service), attendant: Arc::new(attendant) }
    }

    /// Serves clients until SIGINT or SIGTERM arrives, then drops what is under way and removes the socket.
    ///
    /// `ready` is called once a signal would be noticed.
    pub fn serve(&self, listener: Listener, net: &Net, ready: impl FnOnce()) -> io::Result<()> {
        net.run(async {
            let stopped = stop_signal()?;
            ready();
            tokio::select! {
                () = stopped => Ok(()),
                ended = self.accept(listener.socket) => ended,
            }
        })?
    }

    async fn accept(&self, socket: Socket) -> io::Result<()> {
        let server = tonic::transport::Server::builder();
        let ended = match socket {
            Socket::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let incoming =
                    TcpIncoming::from(tokio::net::TcpListener::from_std(listener)?).with_nodelay(Some(true));
                server.serve_with_incoming(self.clone(), incoming).await
            }
            #[cfg(unix)]
            Socket::Unix(listener, file) => {
                let _removed_at_the_end = file;
                listener.set_nonblocking(true)?;
                let incoming = UnixIncoming(tokio::net::UnixListener::from_std(listener)?);
                server.serve_with_incoming(self.clone(), incoming).await
            }
        };
        ended.map_err(io::Error::other)
    }

    /// Does `work` with the service on a thread of its own, for what it does may take its time.
    async fn fulfil<T: Send + 'static>(
        self,
        operation: Operation,
        key: Option<Key>,
        work: impl FnOnce(&dyn KeyService, &MasterKey) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let key = key.and_then(Key::master_key).ok_or_else(|| Status::not_found("Must provide a key"))?;
        let done = tokio::task::spawn_blocking(move || {
            let request = KeyRequest { operation, key };
            if !self.attendant.allows(&request) {
                self.attendant.answered(&request, Some("refused"));
                return Err(Status::permission_denied("Request rejected by user"));
            }
            let result = work(&*(self.make_service)(), &request.key).map_err(|error| error.to_string());
            self.attendant.answered(&request, result.as_ref().err().map(String::as_str));
            result.map(Response::new).map_err(Status::unknown)
        });
        done.await.map_err(|_| Status::internal("the key service failed"))?
    }
}

/// Waits for a signal that ends the server; from the call on it does not end the process any more.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Waits for Ctrl+C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

#[cfg(unix)]
struct UnixIncoming(tokio::net::UnixListener);

#[cfg(unix)]
impl tonic::codegen::tokio_stream::Stream for UnixIncoming {
    type Item = io::Result<tokio::net::UnixStream>;

    fn poll_next(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(context).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

impl Service<http::Request<Body>> for Server {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                ENCRYPT => {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                    grpc.unary(Encrypt(server), request).await
                }
                DECRYPT => {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
                    grpc.unary(Decrypt(server), request).await
                }
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}

struct Encrypt(Server);

impl UnaryService<EncryptRequest> for Encrypt {
    type Response = EncryptResponse;
    type Future = BoxFuture<Response<EncryptResponse>, Status>;

    fn call(&mut self, request: Request<EncryptRequest>) -> Self::Future {
        let mut request = request.into_inner();
        let part = KeyPart::from_bytes(std::mem::take(&mut request.plaintext));
        let key = request.key.take();
        Box::pin(self.0.clone().fulfil(Operation::Encrypt, key, move |service, key| {
            let wrapped = service.wrap(key, &part)?;
            Ok(EncryptResponse { ciphertext: wrapped.as_str().as_bytes().to_vec() })
        }))
    }
}

struct Decrypt(Server);

impl UnaryService<DecryptRequest> for Decrypt {
    type Response = DecryptResponse;
    type Future = BoxFuture<Response<DecryptResponse>, Status>;

    fn call(&mut self, request: Request<DecryptRequest>) -> Self::Future {
        let DecryptRequest { key, ciphertext } = request.into_inner();
        Box::pin(self.0.clone().fulfil(Operation::Decrypt, key, move |service, key| {
            let text = String::from_utf8(ciphertext).map_err(|_| ProviderError::Damaged {
                key: key.to_string(),
                reason: "it is no text".to_owned(),
            })?;
            match service.unwrap(key, &WrappedKey::new(text))? {
                Some(part) => Ok(DecryptResponse { plaintext: part.expose().to_vec() }),
                None => Err(ProviderError::NoCredential { key: key.to_string() }),
            }
        }))
    }
}

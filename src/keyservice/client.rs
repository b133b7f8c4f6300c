//! A key service of another process, asked over gRPC.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Context, Poll, Service};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::address::{Address, Family, Place};
use super::proto::{DECRYPT, DecryptRequest, DecryptResponse, ENCRYPT, EncryptRequest, EncryptResponse, Key};
use crate::keyring::KeyService;
use crate::net::Net;
use crate::provider::{MasterKey, ProviderError, WrappedKey};
use crate::secret::KeyPart;

/// How long a service is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Until it can be talked to.
    pub connecting: Duration,
    /// Until it answers; somebody may have to agree there.
    pub answering: Duration,
    /// After how long without a word it is asked for a sign of life.
    pub quiet: Duration,
    /// Until it gives that sign.
    pub sign_of_life: Duration,
}

impl Default for Patience {
    /// Signs of life are asked for so seldom because Go's servers hang up on whoever asks four times in five minutes.
    fn default() -> Self {
        Self {
            connecting: Duration::from_secs(10),
            answering: Duration::from_secs(120),
            quiet: Duration::from_secs(30),
            sign_of_life: Duration::from_secs(10),
        }
    }
}

/// A key service of another process; it is connected to when it is first asked.
pub struct RemoteKeyService {
    address: Address,
    net: Arc<Net>,
    patience: Patience,
    channel: OnceLock<Channel>,
}

impl RemoteKeyService {
    /// The service at `address`.
    pub fn new(address: Address, net: Arc<Net>) -> Self {
        Self::with_patience(address, net, Patience::default())
    }

    /// The same, waited for as long as `patience` says.
    pub fn with_patience(address: Address, net: Arc<Net>, patience: Patience) -> Self {
        Self { address, net, patience, channel: OnceLock::new() }
    }

    fn ask<Q, A>(&self, method: &'static str, key: &MasterKey, request: Q) -> Result<A, ProviderError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let work = async {
            match tokio::time::timeout(self.patience.answering, self.call(method, request)).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {} seconds", self.patience.answering.as_secs())),
            }
        };
        let answer = match &self.address.place {
            Place::Nowhere(reason) => Err(reason.clone()),
            _ => self.net.run(work).unwrap_or_else(|error| Err(error.to_string())),
        };
        answer.map_err(|reason| self.failed(key, reason))
    }

    async fn call<Q, A>(&self, method: &'static str, request: Q) -> Result<A, String>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let channel = self.channel.get_or_init(|| self.channel()).clone();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.map_err(|error| deepest(&error))?;
        let codec = ProstCodec::<Q, A>::default();
        let answer =
            client.unary(tonic::Request::new(request), PathAndQuery::from_static(method), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| reason_of(&status))
    }

    fn channel(&self) -> Channel {
        // The host of the URL is what the server is told it is called; where it is, the connector knows.
        Endpoint::from_static("http://localhost")
            .http2_keep_alive_interval(self.patience.quiet)
            .keep_alive_timeout(self.patience.sign_of_life)
            .connect_with_connector_lazy(Connector {
                place: self.address.place.clone(),
                patience: self.patience.connecting,
            })
    }

    fn failed(&self, key: &MasterKey, reason: String) -> ProviderError {
        ProviderError::Remote { address: self.address.to_string(), key: key.to_string(), reason }
    }
}

impl KeyService for RemoteKeyService {
    fn wrap(&self, key: &MasterKey, part: &KeyPart) -> Result<WrappedKey, ProviderError> {
        let request = EncryptRequest { key: Some(Key::of(key)), plaintext: part.expose().to_vec() };
        let answer: EncryptResponse = self.ask(ENCRYPT, key, request)?;
        let no_text = |_| self.failed(key, "what it wrapped is no text".to_owned());
        match String::from_utf8(answer.ciphertext).map_err(no_text)? {
            text if text.is_empty() => Err(self.failed(key, "it answered, but wrapped nothing".to_owned())),
            text => Ok(WrappedKey::new(text)),
        }
    }

    fn unwrap(&self, key: &MasterKey, wrapped: &WrappedKey) -> Result<Option<KeyPart>, ProviderError> {
        let ciphertext = wrapped.as_str().as_bytes().to_vec();
        let request = DecryptRequest { key: Some(Key::of(key)), ciphertext };
        let mut answer: DecryptResponse = self.ask(DECRYPT, key, request)?;
        Ok(Some(KeyPart::from_bytes(std::mem::take(&mut answer.plaintext))))
    }
}

/// What the other end said, or what was in the way of asking it.
fn reason_of(status: &Status) -> String {
    if status.source().is_some() {
        return deepest(status);
    }
    match status.code() {
        // What sops' own service says for any failure of a key.
        Code::Unknown => status.message().to_owned(),
        Code::PermissionDenied => format!("it refused: {}", status.message()),
        code if status.message().is_empty() => code.description().to_owned(),
        code => format!("{} ({})", status.message(), code.description()),
    }
}

/// The message at the bottom: those above it only say that something failed below.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// What opens the connection.
#[derive(Clone)]
struct Connector {
    place: Place,
    patience: Duration,
}

/// A connection of whatever kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Service<Uri> for Connector {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { place, patience } = self.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(patience, connect(&place)).await;
            let too_slow = |_| {
                let message = format!("no connection within {} seconds", patience.as_secs());
                io::Error::new(io::ErrorKind::TimedOut, message)
            };
            connected.map_err(too_slow)?.map(TokioIo::new)
        })
    }
}

async fn connect(place: &Place) -> io::Result<Box<dyn Stream>> {
    match place {
        Place::Unix(path) => connect_unix(path).await,
        Place::Tcp(family, host, port) => {
            // Go: no host is this machine.
            let host = if host.is_empty() { "localhost" } else { host };
            let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no such address"));
            for address in tokio::net::lookup_host((host, *port)).await? {
                if !family.takes(&address) {
                    continue;
                }
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        stream.set_nodelay(true)?;
                        return Ok(Box::new(stream));
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }
        Place::Nowhere(reason) => Err(io::Error::new(io::ErrorKind::InvalidInput, reason.clone())),
    }
}

#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<Box<dyn Stream>> {
    Ok(Box::new(tokio::net::UnixStream::connect(path).await?))
}

#[cfg(not(unix))]
async fn connect_unix(_: &Path) -> io::Result<Box<dyn Stream>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no unix sockets on this system"))
}

impl Family {
    fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Family::Any => true,
            Family::V4 => address.is_ipv4(),
            Family::V6 => address.is_ipv6(),
        }
    }
}

//! The audit log in a PostgreSQL database, in the table that sops writes to.

use std::error::Error as _;
use std::io::Read as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::connection::{Connection, ConnectionError, Tls};
use super::{Action, AuditError, EventLog};
use crate::env::Env;
use crate::net::Net;
use crate::secret::SecretText;

/// How long the database may take to write an event down.
const WRITING: Duration = Duration::from_secs(30);

const INSERT: &str = "INSERT INTO audit_event (action, username, file) VALUES ($1, $2, $3)";

/// A database that hears of every event. It is connected to when the first one is recorded.
pub struct PostgresLog {
    connection: Connection,
    username: String,
    net: Arc<Net>,
    client: Mutex<Option<Client>>,
}

impl PostgresLog {
    /// The database that `connection_string` names; events are those of `username`.
    pub fn new(
        connection_string: &str,
        env: &Env,
        username: &str,
        net: Arc<Net>,
    ) -> Result<Self, ConnectionError> {
        let connection = Connection::parse(connection_string, env, username)?;
        Ok(Self { connection, username: username.to_owned(), net, client: Mutex::new(None) })
    }

    async fn connect(&self) -> Result<Client, String> {
        let config = &self.connection.config;
        let client = match self.connection.tls {
            Tls::Off => {
                let (client, connection) = config.connect(NoTls).await.map_err(|error| reason(&error))?;
                tokio::spawn(connection);
                client
            }
            _ => {
                let tls = tls_config(&self.connection).map_err(|error| error.to_string())?;
                let connecting = config.connect(MakeRustlsConnect::new(tls));
                let (client, connection) = connecting.await.map_err(|error| reason(&error))?;
                tokio::spawn(connection);
                client
            }
        };
        Ok(client)
    }

    async fn write(
        &self,
        client: &mut Option<Client>,
        action: &str,
        username: &str,
        file: &str,
    ) -> Result<(), String> {
        let client = match client {
            Some(client) => client,
            None => client.insert(self.connect().await?),
        };
        let written = client.execute(INSERT, &[&action, &username, &file]).await;
        written.map(|_| ()).map_err(|error| reason(&error))
    }
}

impl EventLog for PostgresLog {
    fn record(&self, action: Action, file: &Path) -> Result<(), AuditError> {
        let failed =
            |reason: String| AuditError::new(format!("PostgreSQL at {}: {reason}", self.connection.shown));
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let (action, file) = (action.to_string(), file.to_string_lossy());
        let work = async {
            let writing = self.write(&mut client, &action, &self.username, &file);
            match tokio::time::timeout(WRITING, writing).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {} seconds", WRITING.as_secs())),
            }
        };
        self.net.run(work).map_err(|error| failed(error.to_string()))?.map_err(failed)
    }
}

/// What the server or the way to it says; neither repeats the password.
fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} ({})", said.message(), said.code().code());
    }
    match error.source() {
        Some(source) => {
            let text = source.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_lowercase()
        }
        None => error.to_string(),
    }
}

fn tls_config(connection: &Connection) -> Result<ClientConfig, ConnectionError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = match connection.tls {
        Tls::Off | Tls::Unverified => None,
        Tls::Authority | Tls::Full => {
            let roots = roots(connection.root_certificates.as_deref())?;
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone()).build();
            Some(verifier.map_err(|error| file("sslrootcert", error.to_string()))?)
        }
    };
    let verifier = Verifier { chain: verifier, names_count: connection.tls == Tls::Full, provider };
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| file("sslmode", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificate, key)) = &connection.client_certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("sslcert", certificate)?;
    let text = read("sslkey", key)?;
    let key =
        PrivateKeyDer::from_pem_slice(text.expose()).map_err(|error| file("sslkey", error.to_string()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| file("sslcert", error.to_string()))
}

fn roots(path: Option<&str>) -> Result<RootCertStore, ConnectionError> {
    let mut store = RootCertStore::empty();
    let found = match path {
        None | Some("system") => rustls_native_certs::load_native_certs().certs,
        Some(path) => certificates("sslrootcert", path)?,
    };
    let (added, _) = store.add_parsable_certificates(found);
    match added {
        0 => Err(file("sslrootcert", "no certificate of an authority was found".to_owned())),
        _ => Ok(store),
    }
}

fn certificates(key: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, ConnectionError> {
    let text = read(key, path)?;
    CertificateDer::pem_slice_iter(text.expose())
        .collect::<Result<_, _>>()
        .map_err(|error| file(key, format!("{path} holds no certificate in PEM form: {error}")))
}

fn read(key: &'static str, path: &str) -> Result<SecretText, ConnectionError> {
    let text = std::fs::File::open(path).and_then(|mut file| SecretText::read_from(&mut file.by_ref(), 4096));
    text.map_err(|error| {
        let text = error.to_string();
        file(key, format!("cannot read {path}: {}", text.split(" (os error").next().unwrap_or(&text)))
    })
}

fn file(key: &'static str, reason: String) -> ConnectionError {
    ConnectionError::File { key, reason }
}

/// Verifies as much of the server's certificate as the `sslmode` asks for.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    names_count: bool,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is what is looked at last.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.names_count => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

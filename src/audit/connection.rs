//! Connection strings of PostgreSQL as Go's lib/pq takes them, on which sops stands.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::env::Env;
use crate::secret::SecretText;

/// Why a connection string cannot be used. It repeats no value, which may be a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// It is neither a URL nor a list of `key=value`.
    #[error("the connection string is neither postgres://… nor a list of key=value")]
    Syntax,
    /// A value is not possible.
    #[error("{key} of the connection string must be {expected}")]
    Value {
        /// The parameter.
        key: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A parameter that changes where or how safely the log is written, and that is not known here.
    #[error("{key} of the connection string is not supported")]
    NotSupported {
        /// The parameter.
        key: String,
    },
    /// A file that the string names cannot be read or is not what it should be.
    #[error("{key} of the connection string: {reason}")]
    File {
        /// The parameter.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// How the certificate of the server counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tls {
    /// There is no TLS.
    Off,
    /// The connection is encrypted, to whomever.
    Unverified,
    /// The certificate comes from a known authority.
    Authority,
    /// And names the host.
    Full,
}

/// A connection string, read.
pub(super) struct Connection {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// The file with the authorities that count; `None` for those of the operating system.
    pub(super) root_certificates: Option<String>,
    /// The files with this end's certificate and key.
    pub(super) client_certificate: Option<(String, String)>,
    /// The server, without user and password.
    pub(super) shown: String,
}

impl Connection {
    /// Reads a connection string; `user` connects when it names nobody.
    ///
    /// Of the variables of PostgreSQL only `PGUSER` and `PGPASSWORD` stand in for what the string leaves open. sops
    /// listens to `PGHOST` and its siblings as well: then whoever is audited decides where the log is written.
    pub(super) fn parse(text: &str, env: &Env, user: &str) -> Result<Self, ConnectionError> {
        let mut parameters = match text.starts_with("postgres://") || text.starts_with("postgresql://") {
            true => of_url(text)?,
            false => of_pairs(text)?,
        };
        let mut take = |key: &str| parameters.remove(key).filter(|value| !value.is_empty());
        let mut config = Config::new();
        let host = take("host").unwrap_or_else(|| "localhost".to_owned());
        let hostaddr = take("hostaddr");
        if host.contains(',') {
            return Err(value("host", "one host"));
        }
        let port = match take("port") {
            None => 5432,
            Some(port) => port.parse().map_err(|_| value("port", "a port number"))?,
        };
        let is_socket = host.starts_with('/') && hostaddr.is_none();
        config.port(port);
        if let Some(address) = hostaddr {
            let address: IpAddr = address.parse().map_err(|_| value("hostaddr", "an IP address"))?;
            config.hostaddr(address);
        }
        config.host(&host);
        let database = take("dbname");
        config.user(take("user").or_else(|| of_env(env, "PGUSER")).unwrap_or_else(|| user.to_owned()));
        if let Some(database) = &database {
            config.dbname(database);
        }
        if let Some(password) = take("password").or_else(|| of_env(env, "PGPASSWORD")) {
            let password = SecretText::new(password.into_bytes());
            config.password(password.expose());
        }
        config.application_name(
            take("application_name")
                .or_else(|| take("fallback_application_name"))
                .unwrap_or_else(|| "orlop".into()),
        );
        let seconds = match take("connect_timeout") {
            None => 0,
            Some(text) => text.parse().map_err(|_| value("connect_timeout", "a number of seconds"))?,
        };
        config.connect_timeout(if seconds == 0 { CONNECTING } else { Duration::from_secs(seconds) });

        let root_certificates = take("sslrootcert");
        let tls = match (take("sslmode").as_deref(), root_certificates.as_deref()) {
            _ if is_socket => Tls::Off,
            (None, Some("system")) => Tls::Full,
            (Some("verify-full"), _) => Tls::Full,
            (_, Some("system")) => return Err(value("sslmode", "verify-full, as sslrootcert is system")),
            (Some("disable"), _) => Tls::Off,
            (Some("verify-ca"), _) => Tls::Authority,
            // As libpq: with a file of authorities this is verify-ca.
            (None | Some("require"), Some(_)) => Tls::Authority,
            (None | Some("require"), None) => Tls::Unverified,
            (Some(_), _) => return Err(value("sslmode", "disable, require, verify-ca or verify-full")),
        };
        config.ssl_mode(if tls == Tls::Off { SslMode::Disable } else { SslMode::Require });
        let client_certificate = match (take("sslcert"), take("sslkey")) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(value("sslcert", "given together with sslkey")),
        };
        for decides in ["service", "passfile", "sslinline", "target_session_attrs", "sslnegotiation"] {
            if take(decides).is_some() {
                return Err(ConnectionError::NotSupported { key: decides.to_owned() });
            }
        }
        take("sslsni");
        take("client_encoding");
        take("disable_prepared_binary_result");
        take("binary_parameters");
        let mut options = take("options").unwrap_or_default();
        // What is left are settings of the server's session.
        for (name, setting) in parameters {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(ConnectionError::Syntax);
            }
            options.push_str(&format!(" -c {name}="));
            for c in setting.chars() {
                options.extend((c == '\\' || c.is_whitespace()).then_some('\\'));
                options.push(c);
            }
        }
        if !options.is_empty() {
            config.options(options.trim_start());
        }
        let database = database.map(|name| format!("/{name}")).unwrap_or_default();
        let shown = format!("{host}:{port}{database}");
        Ok(Self { config, tls, root_certificates, client_certificate, shown })
    }
}

/// How long a server is waited for when the string does not say.
const CONNECTING: Duration = Duration::from_secs(10);

fn value(key: &str, expected: &'static str) -> ConnectionError {
    ConnectionError::Value { key: key.to_owned(), expected }
}

fn of_env(env: &Env, name: &str) -> Option<String> {
    env.text(name).filter(|value| !value.is_empty()).map(str::to_owned)
}

type Parameters = BTreeMap<String, String>;

fn of_url(text: &str) -> Result<Parameters, ConnectionError> {
    let mut parameters = Parameters::new();
    let (_, rest) = text.split_once("://").ok_or(ConnectionError::Syntax)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(ConnectionError::Syntax)?;
            (host, rest.strip_prefix(':').unwrap_or(rest))
        }
        None => place.rsplit_once(':').unwrap_or((place, "")),
    };
    for (name, text) in
        [("user", user), ("password", password), ("host", host), ("port", port), ("dbname", path)]
    {
        let text = decoded(text)?;
        if !text.is_empty() {
            parameters.insert(name.to_owned(), text);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.insert(decoded(name)?, decoded(&text.replace('+', " "))?);
    }
    Ok(parameters)
}

fn decoded(text: &str) -> Result<String, ConnectionError> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let digits = digits.ok_or(ConnectionError::Syntax)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| ConnectionError::Syntax)?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| ConnectionError::Syntax)
}

/// `key = value` pairs; a value may stand in single quotes, and a backslash takes the next character as it is.
fn of_pairs(text: &str) -> Result<Parameters, ConnectionError> {
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or(ConnectionError::Syntax)?;
        let name = name.trim_end();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(ConnectionError::Syntax);
        }
        let after = after.trim_start();
        let quoted = after.strip_prefix('\'');
        let body = quoted.unwrap_or(after);
        let mut value = String::new();
        let mut letters = body.char_indices();
        let mut end = None;
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => value.push(letters.next().ok_or(ConnectionError::Syntax)?.1),
                '\'' if quoted.is_some() => {
                    end = Some(at + 1);
                    break;
                }
                c if c.is_whitespace() && quoted.is_none() => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        if end.is_none() && quoted.is_some() {
            return Err(ConnectionError::Syntax);
        }
        parameters.insert(name.to_owned(), value);
        rest = body[end.unwrap_or(body.len())..].trim_start();
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::Host;

    fn parse(text: &str) -> Result<Connection, ConnectionError> {
        Connection::parse(text, &Env::default(), "me")
    }

    #[test]
    fn a_url_and_pairs_say_the_same() {
        for text in [
            "postgres://so%20ps:c%40nary@db.example:5433/au%64it?sslmode=verify-full&search_path=a%20b",
            "postgresql://so%20ps:c%40nary@db.example:5433/audit?sslmode=verify-full&search_path=a+b",
            r"user='so ps' password = c@nary host=db.example port=5433 dbname='audit' sslmode=verify-full search_path=a\ b",
        ] {
            let connection = parse(text).unwrap();
            let config = &connection.config;
            assert_eq!(config.get_user(), Some("so ps"), "{text}");
            assert_eq!(config.get_password(), Some(&b"c@nary"[..]));
            assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
            assert_eq!(config.get_ports(), [5433]);
            assert_eq!(config.get_dbname(), Some("audit"));
            assert_eq!(config.get_options(), Some(r"-c search_path=a\ b"));
            assert_eq!(connection.tls, Tls::Full);
            assert_eq!(connection.shown, "db.example:5433/audit");
        }
    }

    #[test]
    fn what_is_left_open_is_as_in_lib_pq() {
        let connection = parse("").unwrap();
        assert_eq!(connection.config.get_user(), Some("me"));
        assert_eq!(connection.config.get_hosts(), [Host::Tcp("localhost".to_owned())]);
        assert_eq!(connection.config.get_ports(), [5432]);
        assert_eq!(connection.tls, Tls::Unverified);
        let env = Env::from_iter([("PGUSER", "u"), ("PGPASSWORD", "p"), ("PGHOST", "elsewhere")]);
        let connection = Connection::parse("postgres://", &env, "me").unwrap();
        assert_eq!(connection.config.get_user(), Some("u"));
        assert_eq!(connection.config.get_password(), Some(&b"p"[..]));
        assert_eq!(connection.config.get_hosts(), [Host::Tcp("localhost".to_owned())]);
    }

    #[test]
    fn the_ways_to_trust_a_server() {
        for (text, tls) in [
            ("sslmode=disable", Tls::Off),
            ("sslmode=require", Tls::Unverified),
            ("sslmode=require sslrootcert=/ca.pem", Tls::Authority),
            ("sslrootcert=/ca.pem", Tls::Authority),
            ("sslmode=verify-ca", Tls::Authority),
            ("sslmode=verify-full", Tls::Full),
            ("sslrootcert=system", Tls::Full),
            ("host=/run/postgresql", Tls::Off),
        ] {
            assert_eq!(parse(text).unwrap().tls, tls, "{text}");
        }
        for text in ["sslmode=prefer", "sslmode=allow", "sslmode=x", "sslmode=require sslrootcert=system"] {
            assert!(matches!(parse(text), Err(ConnectionError::Value { .. })), "{text}");
        }
    }

    #[test]
    fn a_string_that_cannot_be_used_is_not_repeated() {
        for text in [
            "canary",
            "password='canary",
            "=canary",
            "password=canary x",
            r"password=canary\",
            "postgres://u:canary%4@h",
            "postgres://u:canary@[::1",
            "password=canary port=canary",
            "password=canary service=canary",
            "password=canary can-ary=1",
        ] {
            let error = parse(text).err().unwrap_or_else(|| panic!("{text}")).to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }
}

//! Addresses of key services, as sops takes them: URLs whose scheme is the kind of the network.

use std::fmt;
use std::path::PathBuf;

/// Where a key service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    shown: String,
    pub(super) place: Place,
}

/// How a key service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// By a unix socket.
    Unix(PathBuf),
    /// By TCP.
    Tcp(Family, String, u16),
    /// Not at all. sops finds that out when it first needs the service, and so does this.
    Nowhere(String),
}

/// Which kind of IP address is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

/// Why a text is no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AddressError(&'static str);

impl Address {
    /// Reads `unix:///path`, `unix:/path`, `tcp://host:port`, `tcp4://…` or `tcp6://…`.
    ///
    /// SOPS 3.13: what is no URL is an error, for which the service is left out with a warning; a URL that names no
    /// network is taken, and is a service that never helps.
    pub fn parse(uri: &str) -> Result<Self, AddressError> {
        let uri = uri.split('#').next().unwrap_or_default();
        if uri.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(AddressError("it holds a control character"));
        }
        let (scheme, rest) = scheme_and_rest(uri)?;
        let rest = rest.split('?').next().unwrap_or_default();
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        if scheme.is_empty() && host.is_empty() && path.split('/').next().unwrap_or_default().contains(':') {
            return Err(AddressError("it has no scheme such as tcp:// or unix://"));
        }
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let port = port_of(host)?;
        let path = percent_decoded(path)?;
        let nowhere = |reason: &str| Place::Nowhere(reason.to_owned());
        let place = match scheme.as_str() {
            "unix" if !host.is_empty() => {
                nowhere("a unix socket is on this machine; write three slashes: unix:///path")
            }
            "unix" if path.is_empty() => nowhere("no path of a socket is given"),
            "unix" => Place::Unix(path.into()),
            "tcp" | "tcp4" | "tcp6" => {
                let family = match scheme.as_str() {
                    "tcp4" => Family::V4,
                    "tcp6" => Family::V6,
                    _ => Family::Any,
                };
                match port {
                    Some((name, port)) => Place::Tcp(family, name.to_owned(), port),
                    None => nowhere("the port is missing; write tcp://host:port"),
                }
            }
            other => Place::Nowhere(format!("{other:?} is no network; use tcp or unix")),
        };
        Ok(Self { shown: uri.to_owned(), place })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The scheme in lower case, empty where there is none, and what follows the colon.
fn scheme_and_rest(uri: &str) -> Result<(String, &str), AddressError> {
    for (at, byte) in uri.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(AddressError("it has no scheme before the colon")),
            b':' => return Ok((uri[..at].to_ascii_lowercase(), &uri[at + 1..])),
            _ => break,
        }
    }
    Ok((String::new(), uri))
}

/// The host without brackets, and the port; `None` when there is no port, or only its colon.
fn port_of(host: &str) -> Result<Option<(&str, u16)>, AddressError> {
    if host.contains([' ', '<', '>', '"']) {
        return Err(AddressError("the name of its host holds a character that is not possible there"));
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) =
                rest.split_once(']').ok_or(AddressError("it lacks the bracket behind its host"))?;
            match rest.strip_prefix(':') {
                Some(port) => (name, port),
                None if rest.is_empty() => (name, ""),
                None => return Err(AddressError("only a port may follow its host")),
            }
        }
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError("its port is no number"));
    }
    // A number that is no port is one that nobody listens on.
    Ok(port.parse().ok().map(|port| (name, port)))
}

fn percent_decoded(path: &str) -> Result<String, AddressError> {
    let refused = AddressError("a % in its path is not followed by two hexadecimal digits");
    let mut pieces = path.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).ok_or_else(|| refused.clone())?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused);
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| refused.clone())?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| AddressError("its path is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(uri: &str) -> Place {
        Address::parse(uri).unwrap().place
    }

    #[test]
    fn sockets_and_hosts_are_named_by_urls() {
        for (uri, path) in [
            ("unix:///run/sops.sock", "/run/sops.sock"),
            ("unix:/run/sops.sock", "/run/sops.sock"),
            ("UNIX:///run/a%20b", "/run/a b"),
            ("unix:sops.sock", "sops.sock"),
        ] {
            assert_eq!(place(uri), Place::Unix(path.into()), "{uri}");
        }
        assert_eq!(place("tcp://127.0.0.1:5000"), Place::Tcp(Family::Any, "127.0.0.1".into(), 5000));
        assert_eq!(place("tcp4://localhost:1/path"), Place::Tcp(Family::V4, "localhost".into(), 1));
        assert_eq!(place("tcp6://[::1]:5000"), Place::Tcp(Family::V6, "::1".into(), 5000));
    }

    #[test]
    fn what_names_no_network_is_a_service_that_never_helps() {
        for uri in [
            "",
            "http://h:1",
            "host:5000",
            "tcp://h",
            "tcp://h:",
            "tcp://h:99999",
            "unix://host/p",
            "unix://",
        ] {
            assert!(matches!(place(uri), Place::Nowhere(_)), "{uri}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for uri in ["127.0.0.1:5000", ":5000", "tcp://h:port", "unix:///%zz", "unix:///a%2", "tcp://a b:1"] {
            assert!(Address::parse(uri).is_err(), "{uri}");
        }
    }
}

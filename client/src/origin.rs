//! What a URL may say: where a service is, and under which name it is called.
//!
//! Refuses what the transport would take for something else, or fail at without saying why.

use std::net::{IpAddr, SocketAddr};

use tonic::transport::Uri;

use crate::Error;

/// A service as the caller names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `unix:/path/to.sock`.
    Unix { url: String },
    /// `http://host:port` or `https://host:port`.
    Tcp { url: Uri, tls: bool, host: String, port: u16 },
}

// === impl Origin ===

impl Origin {
    /// Reads a URL.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return wrong("a unix: URL needs the whole path of a socket");
            }
            return Ok(Self::Unix { url: url.to_owned() });
        }
        let Ok(uri) = url.parse::<Uri>() else {
            return wrong("that is not a URL");
        };
        let (tls, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return wrong("the URL has no scheme this client knows"),
        };
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return wrong("a URL with a user or password is not accepted"); // and not repeated either
        }
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
            return wrong("the URL has no host");
        };
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return wrong("the URL has a path, which gRPC does not use");
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(usual_port);
        Ok(Self::Tcp { tls, host, port, url: uri })
    }

    /// The URL, for people.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Unix { url } => url.clone(),
            Self::Tcp { url, .. } => url.to_string().trim_end_matches('/').to_owned(),
        }
    }

    /// Whether it is reached over TLS.
    pub(crate) fn tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// Whether nobody on a network can read along: TLS, a socket of this machine, or its loopback.
    pub(crate) fn private(&self) -> bool {
        match self {
            Self::Unix { .. } | Self::Tcp { tls: true, .. } => true,
            Self::Tcp { host, .. } => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }

    /// The one address it can have, if it is not a name.
    pub(crate) fn literal(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix { .. } => None,
            Self::Tcp { host, port, .. } => Some(SocketAddr::new(host.parse().ok()?, *port)),
        }
    }

    /// The name to look up, if it is one.
    pub(crate) fn name(&self) -> Option<(&str, u16)> {
        match self {
            Self::Tcp { host, port, .. } if self.literal().is_none() => Some((host, *port)),
            _ => None,
        }
    }
}

fn wrong(problem: &str) -> Result<Origin, Error> {
    let message = format!("{problem}; use https://host:port, http://host:port or unix:/path/to.sock");
    Err(Error::configuration(message, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn urls_that_cannot_work_are_told_apart_from_services_that_are_down() {
        let wrong = [
            "",
            "router",
            "127.0.0.1:50051",
            "ftp://router",
            "unix:",
            "unix://router.sock",
            "http://",
            "http://router/path",
        ];
        for url in wrong {
            assert_eq!(Origin::parse(url).unwrap_err().kind(), ErrorKind::Configuration, "{url}");
        }
        for url in [
            "http://router:50051",
            "https://router",
            "http://[::1]:50051",
            "unix:/run/router.sock",
            "unix:///run/router.sock",
        ] {
            assert_eq!(Origin::parse(url).unwrap().label(), url);
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_repeated() {
        let error = Origin::parse("http://ann:secret@router:50051").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn only_what_cannot_be_read_along_is_private() {
        for url in
            ["https://router", "unix:/run/router.sock", "http://localhost:1", "http://127.0.0.9", "http://[::1]:1"]
        {
            assert!(Origin::parse(url).unwrap().private(), "{url}");
        }
        for url in ["http://router:50051", "http://10.0.0.1:50051", "http://localhost.example:1"] {
            assert!(!Origin::parse(url).unwrap().private(), "{url}");
        }
    }

    #[test]
    fn only_names_are_looked_up() {
        assert_eq!(Origin::parse("https://router").unwrap().name(), Some(("router", 443)));
        for url in ["http://10.0.0.1", "http://[::1]:50051", "unix:/run/router.sock"] {
            assert_eq!(Origin::parse(url).unwrap().name(), None, "{url}");
        }
        assert_eq!(Origin::parse("http://[::1]:7").unwrap().literal(), Some("[::1]:7".parse().unwrap()));
    }
}

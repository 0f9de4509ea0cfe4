//! The hosts of a url, of which one is the primary: asked first is the one that was it last.
//!
//! The driver would ask them in the order of the url, each time: a host that is gone without a word would cost every
//! connection its whole time.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::{
    Config,
    config::{Host, TargetSessionAttrs},
};

/// How many there are, and which was the primary last.
#[derive(Debug)]
pub(super) struct Hosts {
    many: usize,
    primary: AtomicUsize,
}

/// A host that is being asked. Dropped without an answer, another one is asked first the next time.
#[derive(Debug)]
pub(super) struct Asked<'h> {
    hosts: &'h Hosts,
    at: usize,
    found: bool,
}

impl Hosts {
    /// Those of a configuration.
    pub(super) fn of(config: &Config) -> Self {
        Self { many: config.get_hosts().len().max(1), primary: AtomicUsize::new(0) }
    }

    /// More than one.
    pub(super) fn are_several(&self) -> bool {
        self.many > 1
    }

    /// Which was the primary last.
    pub(super) fn primary(&self) -> usize {
        self.primary.load(Ordering::Relaxed)
    }

    /// All of them, the primary first.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = Asked<'_>> {
        let first = self.primary();
        (0..self.many).map(move |turn| Asked { hosts: self, at: (first + turn) % self.many, found: false })
    }
}

impl Asked<'_> {
    /// The configuration of this host alone. Where there are several, it must take writes.
    pub(super) fn config(&self, all: &Config) -> Config {
        let mut config = all.clone();
        if self.hosts.many == 1 {
            return config;
        }
        config = Config::new();
        match all.get_hosts().get(self.at) {
            Some(Host::Tcp(host)) => config.host(host),
            Some(Host::Unix(path)) => config.host_path(path),
            None => &mut config,
        };
        if let Some(address) = all.get_hostaddrs().get(self.at) {
            config.hostaddr(*address);
        }
        let ports = all.get_ports();
        config
            .port(ports.get(self.at).or(ports.first()).copied().unwrap_or(5432))
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .ssl_mode(all.get_ssl_mode())
            .ssl_negotiation(all.get_ssl_negotiation())
            .channel_binding(all.get_channel_binding())
            .keepalives(all.get_keepalives())
            .keepalives_idle(all.get_keepalives_idle());
        if let Some(user) = all.get_user() {
            config.user(user);
        }
        if let Some(password) = all.get_password() {
            config.password(password);
        }
        if let Some(name) = all.get_dbname() {
            config.dbname(name);
        }
        if let Some(name) = all.get_application_name() {
            config.application_name(name);
        }
        if let Some(time) = all.get_connect_timeout() {
            config.connect_timeout(*time);
        }
        if let Some(time) = all.get_tcp_user_timeout() {
            config.tcp_user_timeout(*time);
        }
        config
    }

    /// It is the primary.
    pub(super) fn accept(mut self) {
        self.found = true;
        self.hosts.primary.store(self.at, Ordering::Relaxed);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.found {
            let next = (self.at + 1) % self.hosts.many;
            let _moved_on = self.hosts.primary.compare_exchange(self.at, next, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::*;

    #[test]
    fn a_host_that_did_not_answer_is_asked_last_and_the_primary_first() {
        let all = Config::from_str("postgres://u@a:1,b:2,c:3/d").unwrap();
        let hosts = Hosts::of(&all);
        let order = |hosts: &Hosts| {
            let mut turns: Vec<u16> = Vec::new();
            for asked in hosts.in_turn() {
                turns.push(asked.config(&all).get_ports()[0]);
                std::mem::forget(asked);
            }
            turns
        };
        assert_eq!(order(&hosts), [1, 2, 3]);
        // Given up, as when the time is over.
        drop(hosts.in_turn().next());
        assert_eq!(order(&hosts), [2, 3, 1]);
        hosts.in_turn().nth(1).unwrap().accept();
        assert_eq!(order(&hosts), [3, 1, 2]);
    }

    #[test]
    fn what_is_told_to_one_host_is_what_was_configured() {
        let mut all = Config::from_str("postgres://u@a:1,b:2/d").unwrap();
        all.password("p").application_name("n").connect_timeout(std::time::Duration::from_secs(2));
        let one = Hosts::of(&all).in_turn().nth(1).unwrap().config(&all);
        assert_eq!(one.get_hosts(), [Host::Tcp("b".into())]);
        assert_eq!((one.get_user(), one.get_dbname(), one.get_password()), (Some("u"), Some("d"), Some(&b"p"[..])));
        assert_eq!(one.get_connect_timeout(), all.get_connect_timeout());
        assert_eq!(one.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }
}

//! What a call answers: the message, and which database served it.
//!
//! An [`Answer`] reads like its message. Where it was served from comes from the headers of the reply, so that it is
//! known for errors as well; answers about routes, which no database serves, have none.

use std::ops::Deref;

use fbs_router_proto::router::v1::Placement;
use tonic::metadata::MetadataMap;

/// The database that served a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Its name; empty if a header cannot hold it.
    pub database: String,
    /// Whether it is the solution's own; `Unspecified` if this version does not know the word.
    pub placement: Placement,
    /// How often the placement has changed.
    pub epoch: i64,
}

/// A message, and which database served it.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T> {
    message: T,
    served: Option<Served>,
}

// === impl Served ===

impl Served {
    /// What the headers say, if they say anything.
    pub(crate) fn read(metadata: &MetadataMap) -> Option<Self> {
        let text = |name| metadata.get(name).and_then(|value| value.to_str().ok());
        let placement = text("fbs-placement")?;
        Some(Self {
            database: text("fbs-database").unwrap_or_default().to_owned(),
            placement: Placement::from_str_name(&format!("PLACEMENT_{placement}")).unwrap_or(Placement::Unspecified),
            epoch: text("fbs-epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or_default(),
        })
    }
}

// === impl Answer ===

impl<T> Answer<T> {
    pub(crate) fn new(message: T, served: Option<Served>) -> Self {
        Self { message, served }
    }

    /// The database that served the call; none for answers about routes.
    pub fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// The message alone.
    pub fn into_message(self) -> T {
        self.message
    }

    /// The message and where it was served from.
    pub fn into_parts(self) -> (T, Option<Served>) {
        (self.message, self.served)
    }

    /// Another message, served from the same place.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { message: change(self.message), served: self.served }
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> MetadataMap {
        let mut map = MetadataMap::new();
        for (name, value) in pairs {
            map.insert(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn headers_tell_which_database_served() {
        let all = headers(&[("fbs-database", "djo_acme_db"), ("fbs-placement", "DEDICATED"), ("fbs-epoch", "3")]);
        let expected = Served { database: "djo_acme_db".into(), placement: Placement::Dedicated, epoch: 3 };
        assert_eq!(Served::read(&all), Some(expected));
    }

    #[test]
    fn a_name_that_no_header_can_hold_leaves_the_rest() {
        let found = Served::read(&headers(&[("fbs-placement", "SYSTEM"), ("fbs-epoch", "0")])).unwrap();
        assert_eq!((found.database.as_str(), found.placement), ("", Placement::System));
    }

    #[test]
    fn without_the_headers_nothing_is_made_up() {
        assert_eq!(Served::read(&headers(&[("fbs-epoch", "3")])), None);
    }
}

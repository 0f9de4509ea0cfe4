//! As whom a database is entered.
//!
//! Derived from the solution that is *meant*, never from the database's name: whoever is led to another solution's
//! database by a mistake comes there as a stranger, and Postgres itself shuts the door.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Pattern, SolutionId};

/// The role of each solution in its own database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRole {
    /// Its name, such as `sol_{solution}_rt`.
    pub pattern: Pattern,
    /// Folder of files, one a role and called like it, each with its password; none: Postgres asks for none.
    pub passwords: Option<Arc<Path>>,
}

/// A role to log in as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Login {
    /// The router's own, as the server's url says.
    Runtime,
    /// A solution's.
    Own {
        /// Its name.
        role: Arc<str>,
        /// Where its password is.
        passwords: Option<Arc<Path>>,
    },
}

impl OwnRole {
    /// As whom the solution's own database is entered.
    pub fn login(&self, solution: &SolutionId) -> Login {
        Login::Own { role: self.pattern.render(solution.as_str()).into(), passwords: self.passwords.clone() }
    }
}

impl Login {
    /// The file that holds the password, if there is one.
    pub fn password_file(&self) -> Option<PathBuf> {
        match self {
            Self::Runtime | Self::Own { passwords: None, .. } => None,
            // A role's name has no separator: prefix and suffix were read as a pattern's, the solution is letters.
            Self::Own { role, passwords: Some(folder) } => Some(folder.join(&**role)),
        }
    }
}

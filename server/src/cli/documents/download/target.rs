//! Where content goes.
//!
//! Invariant: a name that came with the content chooses a new, visible file in the current folder and nothing else.

use std::{
    fs::Permissions,
    io::{self, IsTerminal},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::cli::output::CliError;

/// Where content goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Stdout,
    File(PathBuf),
}

impl Target {
    /// As typed, if something was; checked before anything is asked for.
    pub(super) fn given(output: Option<&Path>, force: bool, json: bool) -> Result<Option<Self>, CliError> {
        let Some(output) = output else {
            return Ok(None);
        };
        if output != "-" {
            return free(output.to_owned(), force).map(Some);
        }
        if json {
            return Err(CliError::Usage("--json and --output - both write to stdout: choose one"));
        }
        if io::stdout().is_terminal() && !force {
            let problem = "content is not written to a terminal, which it might drive".to_owned();
            return Err(CliError::Refused(problem, "--output FILE, a pipe, or --force"));
        }
        Ok(Some(Self::Stdout))
    }

    /// Under the content's own name in the current folder.
    pub(super) fn own(filename: &str, force: bool) -> Result<Self, CliError> {
        let Some(name) = own_name(filename) else {
            let problem = format!("the content's name {filename:?} is not one for a file here");
            return Err(CliError::Refused(problem, "--output FILE chooses one"));
        };
        free(name.into(), force)
    }
}

/// The last part of a filename; none if that is hidden, special, or not plain text.
fn own_name(filename: &str) -> Option<&str> {
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = !name.is_empty() && !name.starts_with('.') && !name.chars().any(char::is_control);
    plain.then_some(name)
}

/// A path that may be written to.
fn free(path: PathBuf, force: bool) -> Result<Target, CliError> {
    match std::fs::metadata(&path) {
        // A folder cannot be replaced, and a device must not be.
        Ok(found) if !found.is_file() => {
            let problem = format!("{} is there and not a regular file", path.display());
            Err(CliError::Refused(problem, "--output names another one; --output - writes to stdout"))
        }
        Ok(_) if !force => Err(exists(&path)),
        _ => Ok(Target::File(path)),
    }
}

/// What is there stays there.
pub(super) fn exists(path: &Path) -> CliError {
    CliError::Refused(format!("{} is there already", path.display()), "--force replaces it; --output names another one")
}

/// A temporary file in the same folder, with the permissions of a file made in the usual way.
pub(super) fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".fbs-router-")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666)) // less the umask
        .tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_came_with_the_content_leads_nowhere_else() {
        for (filename, expected) in [
            ("invoice.pdf", Some("invoice.pdf")),
            ("Rechnung Ü.pdf", Some("Rechnung Ü.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("/etc/passwd", Some("passwd")),
            ("C:\\Windows\\system.ini", Some("system.ini")),
            ("-", Some("-")),
            ("..", None),
            ("a/..", None),
            (".", None),
            (".bashrc", None),
            ("folder/", None),
            ("", None),
            ("a\nb", None),
            ("a\u{1b}[2J", None),
        ] {
            assert_eq!(own_name(filename), expected, "{filename:?}");
        }
    }

    #[test]
    fn what_is_there_is_replaced_only_by_force_and_never_if_it_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "kept").unwrap();
        assert!(matches!(free(there.clone(), false), Err(CliError::Refused(..))));
        assert_eq!(free(there.clone(), true).unwrap(), Target::File(there));
        let new = folder.path().join("new");
        assert_eq!(free(new.clone(), false).unwrap(), Target::File(new));
        assert!(free(folder.path().to_owned(), true).is_err());
        assert!(free("/dev/null".into(), true).is_err());
    }

    #[test]
    fn stdout_is_for_one_thing() {
        let both = Target::given(Some(Path::new("-")), false, true).unwrap_err();
        assert_eq!(both.exit_code(), 2);
        assert!(Target::given(None, false, true).unwrap().is_none());
    }

    #[test]
    fn a_temporary_file_is_beside_its_place_and_does_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = beside(&folder.path().join("new")).unwrap();
        assert_eq!(file.path().parent(), Some(folder.path()));
        drop(file);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

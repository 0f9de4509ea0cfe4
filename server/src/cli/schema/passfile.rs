//! The password file of libpq: `host:port:database:user:password`, one a line, `*` for any.

/// What a password is wanted for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'w> {
    /// Host name; a socket's directory counts as `localhost`, as libpq has it for the default one.
    pub(super) host: &'w str,
    pub(super) port: u16,
    pub(super) database: &'w str,
    pub(super) user: &'w str,
}

/// The password of the first line that fits.
pub(super) fn find(text: &str, wanted: Wanted<'_>) -> Option<String> {
    let port = wanted.port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [host, a_port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
        let fits = |field: &str, value: &str| field == "*" || field == value;
        (fits(&host, wanted.host)
            && fits(&a_port, &port)
            && fits(&database, wanted.database)
            && fits(&user, wanted.user))
        .then_some(password)
    })
}

/// Splits at colons; a backslash takes the next character as it is.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ':' if fields.len() < 5 => fields.push(String::new()),
            '\\' => fields.last_mut().into_iter().for_each(|field| field.extend(characters.next())),
            other => fields.last_mut().into_iter().for_each(|field| field.push(other)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# comment\nother:5432:*:owner:no\nshort:line\n*:5433:*:*:port\n*:*:fbs\\:db:owner:sec\\\\ret:x\n";
        let wanted = Wanted { host: "db", port: 5432, database: "fbs:db", user: "owner" };
        assert_eq!(find(text, wanted).as_deref(), Some("sec\\ret:x"));
        assert_eq!(find(text, Wanted { port: 5433, ..wanted }).as_deref(), Some("port"));
        assert_eq!(find(text, Wanted { database: "x", ..wanted }), None);
    }
}

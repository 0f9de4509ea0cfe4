//! Reads one table of settings key by key, so that all mistakes are found and each is named by its place.

use std::{cell::RefCell, fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

use toml::{Table, Value};

/// Environment variables that begin so are settings.
const PREFIX: &str = "FBS_ROUTER_";

/// A table being read: each key is taken out once, and what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Section<'p> {
    place: String,
    table: Table,
    problems: &'p RefCell<Vec<String>>,
}

// === impl Section ===

impl<'p> Section<'p> {
    /// The whole file.
    pub(super) fn root(table: Table, problems: &'p RefCell<Vec<String>>) -> Self {
        Self { place: String::new(), table, problems }
    }

    /// The table `[key]`, empty if absent.
    pub(super) fn section(&mut self, key: &str) -> Section<'p> {
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.problem(key, format!("must be a table: [{key}]"));
                Table::new()
            }
        };
        Section { place: self.at(key), table, problems: self.problems }
    }

    /// The tables `[[key]]`.
    pub(super) fn sections(&mut self, key: &str) -> Vec<Section<'p>> {
        let values = match self.table.remove(key) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => {
                self.problem(key, format!("must be a list of tables: [[{key}]]"));
                Vec::new()
            }
        };
        let mut sections = Vec::new();
        for (index, value) in values.into_iter().enumerate() {
            let place = format!("{}[{index}]", self.at(key));
            match value {
                Value::Table(table) => sections.push(Section { place, table, problems: self.problems }),
                _ => self.problems.borrow_mut().push(format!("{place}: must be a table")),
            }
        }
        sections
    }

    /// A text.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => Some(text),
            _ => {
                self.problem(key, "must be a text in quotes, such as \"5s\" for a time");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &str) -> String {
        let there = self.table.contains_key(key);
        match self.text(key) {
            Some(text) if !text.is_empty() => text,
            Some(_) => {
                self.problem(key, "must not be empty");
                String::new()
            }
            None => {
                if !there {
                    self.problem(key, "is missing");
                }
                String::new()
            }
        }
    }

    /// A text of a certain form, such as an address.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(key, format!("{text:?}: {error}"));
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            self.problem(key, format!("{text:?} is not one of {}", allowed.join(", ")));
        }
        found
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(value)) => value,
            Some(_) => {
                self.problem(key, "must be true or false");
                default
            }
        }
    }

    /// True if the key is there and was not taken out.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// A time such as "5s", within bounds.
    pub(super) fn duration(&mut self, key: &str, default: Duration, bounds: RangeInclusive<Duration>) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match humantime::parse_duration(&text) {
            Ok(value) if bounds.contains(&value) => value,
            Ok(_) => {
                let show = humantime::format_duration;
                self.problem(
                    key,
                    format!("{text:?} is not within {} and {}", show(*bounds.start()), show(*bounds.end())),
                );
                default
            }
            Err(error) => {
                self.problem(key, format!("{text:?} is no time such as \"5s\" or \"200ms\": {error}"));
                default
            }
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer<T>(&mut self, key: &str, default: T, bounds: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let value = match self.table.remove(key) {
            None => return default,
            Some(Value::Integer(value)) => T::try_from(value).ok().filter(|value| bounds.contains(value)),
            Some(_) => None,
        };
        value.unwrap_or_else(|| {
            self.problem(key, format!("must be a whole number from {} to {}", bounds.start(), bounds.end()));
            default
        })
    }

    /// Reports a mistake at `key`.
    pub(super) fn problem(&self, key: &str, problem: impl Display) {
        self.problems.borrow_mut().push(format!("{}: {problem}", self.at(key)));
    }

    /// Whatever was not taken is unknown: a typing error must not silently mean the default.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            self.problem(key, "unknown key");
        }
    }

    fn at(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }
}

/// Lays environment variables and `key.key=value` settings over the file.
///
/// A value is TOML if it reads as TOML, else a text. `server.0.url` names the first of `[[server]]`.
pub(super) fn overlay(
    table: &mut Table,
    environment: impl IntoIterator<Item = (String, String)>,
    settings: &[String],
    problems: &RefCell<Vec<String>>,
) {
    let mut variables: Vec<_> = environment
        .into_iter()
        .filter_map(|(name, value)| {
            // Every setting stands in a section. Orchestrators put variables of their own under a service's name, such
            // as FBS_ROUTER_PORT: those are none of ours.
            let path = name.strip_prefix(PREFIX).filter(|path| path.contains("__"))?;
            let path = path.to_lowercase().replace("__", ".");
            Some((name, path, value))
        })
        .collect();
    variables.sort();
    for (name, path, value) in variables {
        if let Err(problem) = set(table, &path, &value) {
            problems.borrow_mut().push(format!("{name}: {problem}"));
        }
    }
    for setting in settings {
        let outcome = match setting.split_once('=') {
            Some((path, value)) => set(table, path, value).map_err(|problem| format!("{path}: {problem}")),
            None => Err(format!("{setting}: must be KEY=VALUE, such as pool.max_size=20")),
        };
        // The value is not repeated: it may hold a secret.
        if let Err(problem) = outcome {
            problems.borrow_mut().push(format!("--set {problem}"));
        }
    }
}

fn set(table: &mut Table, path: &str, value: &str) -> Result<(), String> {
    let value = toml::from_str::<Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let (keys, last) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = table;
    let mut keys = keys.split('.').filter(|key| !key.is_empty()).peekable();
    while let Some(key) = keys.next() {
        let next = place.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let next = match (next, keys.peek().and_then(|index| index.parse::<usize>().ok())) {
            (Value::Array(list), Some(index)) => {
                keys.next();
                list.get_mut(index).ok_or_else(|| format!("{key} has no entry {index}"))?
            }
            (next, _) => next,
        };
        place = next.as_table_mut().ok_or_else(|| format!("{key} is no table"))?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

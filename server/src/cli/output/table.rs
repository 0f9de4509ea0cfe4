//! Plain aligned text for people.
//!
//! Invariant: nothing that came from elsewhere reaches the terminal with control characters in it; a title must not
//! be able to move the cursor or to forge a line.

/// Widest cell of a list; longer ones are cut, `--json` has them whole.
const CELL_CHARS: usize = 48;
/// Between columns.
const GAP: &str = "  ";

/// Rows below headings, each column as wide as its widest cell.
pub(crate) fn list(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| cut(&clean(cell), CELL_CHARS)).collect()));
    aligned(&lines)
}

/// As [`list`], with no cell cut: for texts that are the point of the table.
pub(crate) fn whole(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()));
    aligned(&lines)
}

/// As [`list`], with the last column whole: nothing stands to the right of it.
pub(crate) fn list_with_text(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut lines: Vec<Vec<String>> = vec![headings.iter().map(|heading| (*heading).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| {
        let last = row.len().saturating_sub(1);
        let cell = |(column, cell): (usize, &String)| {
            if column == last { clean(cell) } else { cut(&clean(cell), CELL_CHARS) }
        };
        row.iter().enumerate().map(cell).collect()
    }));
    aligned(&lines)
}

/// One fact a line, the names aligned. Facts without a value are left out.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let lines: Vec<Vec<String>> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![(*name).to_owned(), clean(value)])
        .collect();
    aligned(&lines)
}

/// The lines of a text, each moved to the right.
pub(crate) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The text without control characters: each is shown as its escape.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || is_direction(character) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that turn the direction of text around and so show a line as another.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars - 1).collect();
    short.push('…');
    short
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join(GAP).trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["1".to_owned(), "läng-st".to_owned()], vec!["222".to_owned(), "x".to_owned()]];
        assert_eq!(list(&["ID", "NAME"], &rows), "ID   NAME\n1    läng-st\n222  x\n");
    }

    #[test]
    fn facts_without_a_value_are_left_out() {
        let text = facts(&[("solution", "acme".to_owned()), ("remedy", String::new()), ("app", "fbs_dms".to_owned())]);
        assert_eq!(text, "solution  acme\napp       fbs_dms\n");
    }

    #[test]
    fn text_from_elsewhere_cannot_drive_the_terminal() {
        let text = list(&["TITLE"], &[vec!["a\u{1b}[2J\nforged\u{202e}".to_owned()]]);
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    }

    #[test]
    fn long_cells_are_cut_on_characters() {
        let cell = "ä".repeat(100);
        let text = list(&["TITLE"], &[vec![cell.clone()]]);
        assert_eq!(text.lines().last().unwrap().chars().count(), CELL_CHARS);
        let text = list_with_text(&["TITLE", "TEXT"], &[vec![cell.clone(), format!("{cell}\n")]]);
        assert_eq!(text.lines().last().unwrap().chars().count(), CELL_CHARS + GAP.len() + 102, "{text}");
    }
}

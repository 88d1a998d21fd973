//! What is written to the terminal: results to standard output, everything else to standard error.
//!
//! Tables fit the terminal. Colours only on a terminal and without `NO_COLOR` (no-color.org).

use std::{
    fs::File,
    io::{BufRead as _, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
};

use comfy_table::{Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, presets};

use super::{failure::Failure, json::Json};
use crate::settings::Environment;

/// Where the output goes.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Columns of the terminal; `None` where output is no terminal.
    width: Option<u16>,
    colour: bool,
    can_ask: bool,
    json: bool,
}

/// What a cell's words mean, shown as a colour where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// It works.
    Good,
    /// It needs care.
    Care,
    /// It does not work.
    Bad,
    /// Beside the point.
    Faint,
}

/// A table's cell.
#[derive(Debug, Clone)]
pub struct Entry(String, Tone);

impl Entry {
    /// A text with a tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self(text.into(), tone)
    }
    /// A status, toned by its word.
    pub fn status(word: &str) -> Self {
        let tone = match word {
            "active" | "healthy" | "serving" | "good" | "ok" | "sent" => Tone::Good,
            "disabled" | "expired" | "draining" | "suspended" | "pending" => Tone::Care,
            "revoked" | "leaked" | "unhealthy" | "down" | "failed" => Tone::Bad,
            _ => Tone::Plain,
        };
        Self(word.to_owned(), tone)
    }
    /// The text.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        &self.0
    }
    /// A status that is not the whole truth, and why.
    pub fn status_because(word: &str, why: &str) -> Self {
        Self(format!("{word} ({why})"), Tone::Care)
    }
}
impl<T: Into<String>> From<T> for Entry {
    fn from(text: T) -> Self {
        Self(text.into(), Tone::Plain)
    }
}

/// The columns of a table: a title each. One that begins with `>` is set flush right; one that begins with `~` gives
/// way where the terminal is narrow, the others are as wide as what is in them.
pub type Columns<'a> = &'a [&'a str];
const RIGHT: char = '>';
const YIELDING: char = '~';

impl Screen {
    /// The terminal of this process.
    pub fn real(environment: &Environment, json: bool) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let dumb = environment.get("TERM") == Some("dumb");
        Self {
            width: if terminal { comfy_table::Table::new().width() } else { None },
            colour: terminal && !dumb && environment.get("NO_COLOR").is_none(),
            can_ask: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
            json,
        }
    }
    /// Whether the API's own answer is wanted instead of words.
    pub const fn json(&self) -> bool {
        self.json
    }

    /// Writes a result line, or several.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        // Past the buffer of standard output, which keeps what went through it for as long as the process runs: what is
        // printed may be a secret.
        let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        Ok(out.write_all([text, end].concat().as_bytes())?)
    }
    /// Writes what the API answered: for people's eyes in lines, for programs in one.
    pub fn print_json(&self, answer: &Json) -> Result<(), Failure> {
        self.print(&if self.width.is_some() { answer.lines() } else { answer.line() })
    }
    /// Says something beside the result.
    pub fn say(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
    /// Writes a table; `none` is said where it has no rows.
    pub fn table(&self, columns: Columns<'_>, rows: Vec<Vec<Entry>>, none: &str) -> Result<(), Failure> {
        if rows.is_empty() {
            self.say(none);
            return Ok(());
        }
        self.print(&render(columns, rows, self.width, self.colour))
    }
    /// Writes names and values, one a line.
    pub fn fields(&self, fields: &[(&str, Entry)]) -> Result<(), Failure> {
        let rows = fields.iter().filter(|(_, entry)| !entry.0.is_empty());
        let rows = rows.map(|(name, entry)| vec![Entry::toned(*name, Tone::Faint), entry.clone()]).collect();
        self.print(&render(&[], rows, self.width, self.colour))
    }

    /// Asks before something that cannot be taken back. Nobody to ask and no `--yes`: wrong usage.
    pub fn confirm(&self, yes: bool, question: &str) -> Result<(), Failure> {
        if yes {
            return Ok(());
        }
        if !self.can_ask {
            let message = "nobody is there to confirm this: say --yes to do it without asking";
            return Err(Failure::Usage(message.to_owned()));
        }
        let mut error = std::io::stderr().lock();
        write!(error, "{question} [y/N] ")?;
        error.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::No("nothing was done".to_owned())),
        }
    }
}

/// The text of a table for this width; without one, as wide as it gets.
fn render(columns: Columns<'_>, rows: Vec<Vec<Entry>>, width: Option<u16>, colour: bool) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if colour {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    if !columns.is_empty() {
        table.set_header(columns.iter().map(|title| {
            let cell = Cell::new(title.trim_start_matches([RIGHT, YIELDING]));
            if colour { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
    }
    for row in rows {
        table.add_row(row.into_iter().map(|Entry(text, tone)| {
            let cell = Cell::new(text);
            match tone {
                _ if !colour => cell,
                Tone::Plain => cell,
                Tone::Good => cell.fg(Color::Green),
                Tone::Care => cell.fg(Color::Yellow),
                Tone::Bad => cell.fg(Color::Red),
                Tone::Faint => cell.add_attribute(Attribute::Dim),
            }
        }));
    }
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        // Two blanks between columns, none before the first and behind the last.
        column.set_padding((0, if index == last { 0 } else { 2 }));
        let title = columns.get(index).copied().unwrap_or_default();
        if title.starts_with(RIGHT) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let yields = if columns.is_empty() { index == last } else { title.starts_with(YIELDING) };
        if !yields {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Entry>> {
        let row = |name: &str, status: &str, number: &str| vec![name.into(), Entry::status(status), number.into()];
        vec![row("short", "active", "1"), row("a name of several words that is long", "revoked", "12,345")]
    }
    const COLUMNS: Columns<'static> = &["~NAME", "STATUS", ">REQUESTS"];

    #[test]
    fn a_table_has_aligned_columns_and_no_blanks_at_its_lines_ends() {
        let text = render(COLUMNS, rows(), None, false);
        assert_eq!(
            text,
            "NAME                                  STATUS   REQUESTS\n\
             short                                 active          1\n\
             a name of several words that is long  revoked    12,345\n"
        );
    }

    #[test]
    fn a_table_fits_the_terminal() {
        for width in [30, 40, 80] {
            let text = render(COLUMNS, rows(), Some(width), false);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(width), "{width}:\n{text}");
            assert!(text.contains("revoked") && text.contains("several"), "words stay whole:\n{text}");
        }
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert!(!render(COLUMNS, rows(), Some(80), false).contains('\u{1b}'));
        assert!(render(COLUMNS, rows(), Some(80), true).contains('\u{1b}'));
    }
}

//! What a spreadsheet does with the cells of a file, whoever wrote the file.

/// Characters with which a formula begins; the wide ones are taken for the others. A tab, a return and a
/// new line are skipped before one.
const FORMULA: [char; 11] = [
    '=', '+', '-', '@', '\t', '\r', '\n', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// Whether a spreadsheet takes `cell` for a formula and runs it. Files for people put an apostrophe
/// before such a text.
///
/// # Source
/// OWASP, "CSV Injection".
#[must_use]
pub fn runs(cell: &str) -> bool {
    cell.starts_with(FORMULA)
}

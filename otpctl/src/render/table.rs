//! Tables without borders: one row a line wherever that fits.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use super::visible;

/// Columns stand two spaces apart.
const GAP: (u16, u16) = (0, 2);

/// Lays rows out, at most `width` columns wide. All columns but `flexible` are as wide as their
/// content; that one is broken into lines when it must be.
pub(crate) fn layout<const N: usize>(
    header: Option<[&str; N]>,
    rows: impl IntoIterator<Item = [String; N]>,
    flexible: usize,
    width: Option<u16>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    if let Some(header) = header {
        table.set_header(header.to_vec());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| visible(cell)).collect::<Vec<_>>());
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(GAP);
        if index != flexible {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    if let Some(width) = width {
        // The last column's padding is cut off below, so it may stick out.
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width + GAP.1);
    } else {
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::layout;

    fn row(name: &str) -> [String; 2] {
        [name.into(), "active".into()]
    }

    #[test]
    fn columns_line_up_and_nothing_trails() {
        let text = layout(Some(["USER", "STATE"]), [row("al"), row("barbara")], 0, Some(80));
        assert_eq!(text, "USER     STATE\nal       active\nbarbara  active\n");
    }

    #[test]
    fn a_long_cell_is_broken_on_a_terminal_and_whole_elsewhere() {
        let name = "n".repeat(100);
        let text = layout(Some(["USER", "STATE"]), [row(&name)], 0, Some(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(text.matches('n').count(), 100, "{text}");
        let text = layout(Some(["USER", "STATE"]), [row(&name)], 0, None);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains(&name));
    }

    #[test]
    fn a_cell_cannot_break_the_table() {
        let text = layout(None, [row("a\nb\u{1b}c")], 0, Some(80));
        assert_eq!(text, "a\\u{a}b\\u{1b}c  active\n");
    }
}

//! Where things go: the size classes of a terminal and the frame that every screen shares.
//!
//! Used by `screen` and the panes. Knows rectangles, not what fills them.

use ratatui::layout::{Constraint, Layout, Rect};

/// How much room there is. Panes choose what to show by it; what they are stays the same, so that focus survives a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// Under 60 columns.
    Compact,
    /// One column and strips.
    One,
    /// From 100 columns.
    Two,
    /// From 160 columns.
    Three,
}

pub fn width(area: Rect) -> Width {
    match area.width {
        0..60 => Width::Compact,
        60..100 => Width::One,
        100..160 => Width::Two,
        160.. => Width::Three,
    }
}

/// Too small for frames and tabs: the compact screens.
pub fn is_compact(area: Rect) -> bool {
    area.width < 60 || area.height < 16
}

/// The parts of a whole screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub header: Rect,
    /// Empty on compact screens.
    pub tabs: Rect,
    pub body: Rect,
    /// The timeline of a replay; empty when live or compact.
    pub timeline: Rect,
    pub footer: Rect,
}

pub fn parts(area: Rect, timeline: bool) -> Parts {
    let compact = is_compact(area);
    let tabs = u16::from(!compact);
    let footer = u16::from(area.height > 2);
    let strip = match (timeline, compact) {
        (false, _) => 0,
        (true, true) => u16::from(area.height > 6),
        (true, false) => {
            if area.height >= 30 {
                3
            } else {
                2
            }
        }
    };
    let [header, tabs, body, timeline, footer] = area.layout(&Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(tabs),
        Constraint::Fill(1),
        Constraint::Length(strip),
        Constraint::Length(footer),
    ]));
    Parts { header, tabs, body, timeline, footer }
}

/// A box of at most this size in the middle of `area`.
pub fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Columns of equal width.
pub fn columns(area: Rect, count: usize) -> Vec<Rect> {
    Layout::horizontal(vec![Constraint::Fill(1); count.max(1)]).split(area).to_vec()
}

/// Rows of equal height.
pub fn rows(area: Rect, count: usize) -> Vec<Rect> {
    Layout::vertical(vec![Constraint::Fill(1); count.max(1)]).split(area).to_vec()
}

/// Which slice of a list to show so that `selected` is visible: the first row, given where the list stood.
pub fn scroll_to(first: usize, selected: usize, height: usize, len: usize) -> usize {
    let height = height.max(1);
    let first = first.min(len.saturating_sub(height));
    if selected < first {
        selected
    } else if selected >= first + height {
        selected + 1 - height
    } else {
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_reach_outside_and_never_overlap() {
        for width in (0..210).step_by(13) {
            for height in (0..70).step_by(3) {
                for timeline in [false, true] {
                    let area = Rect::new(0, 0, width, height);
                    let Parts { header, tabs, body, timeline, footer } = parts(area, timeline);
                    let heights: u16 = [header, tabs, body, timeline, footer].iter().map(|part| part.height).sum();
                    assert_eq!(heights, height, "{width}x{height}");
                }
            }
        }
    }

    #[test]
    fn the_selected_row_is_always_visible() {
        for len in 0..30 {
            for height in 0..12 {
                for selected in 0..len {
                    for first in 0..30 {
                        let first = scroll_to(first, selected, height, len);
                        assert!(first <= selected && selected < first + height.max(1));
                    }
                }
            }
        }
    }
}

//! The timeline of a replay: where the cursor stands, and what can be jumped to.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use crate::run::event::Level;
use crate::tui::app::App;
use crate::tui::figures::{count, number};
use crate::tui::screen::lines;
use crate::tui::source::MarkKind;
use crate::tui::theme::Role;

pub fn draw(frame: &mut Frame, area: Rect, app: &App) {
    let style = |role| app.theme.style(role);
    let head = app.source.head().seq.max(1);
    let seq = app.view().seq;
    let width = usize::from(area.width.saturating_sub(2)).max(1);
    let column = |seq: u64| ((seq as f64 / head as f64) * (width - 1) as f64) as usize;
    let here = column(seq);
    let mut bar = vec![Span::raw(" ")];
    let mut marks: Vec<(char, Role)> = vec![(' ', Role::Plain); width];
    for mark in app.source.marks() {
        let (glyph, role, rank) = match mark.kind {
            MarkKind::Stage | MarkKind::End => ('|', Role::Dim, 1),
            MarkKind::Iteration => ('|', Role::Strong, 2),
            MarkKind::Checkpoint => ('*', Role::Good, 1),
            MarkKind::Pause => ('p', Role::Dim, 1),
            MarkKind::Decision => ('v', Role::Human, 3),
            MarkKind::Nan => ('N', Role::Error, 4),
            MarkKind::Alert(Level::Error) => ('!', Role::Error, 4),
            MarkKind::Alert(_) => ('!', Role::Warn, 3),
        };
        let place = &mut marks[column(mark.seq).min(width - 1)];
        let taken = match place.0 {
            ' ' => 0,
            '|' | '*' | 'p' => 1,
            'v' => 3,
            _ => 4,
        };
        if rank > taken {
            *place = (glyph, role);
        }
    }
    bar.push(Span::styled("━".repeat(here), style(Role::Focus)));
    bar.push(Span::styled("●", style(Role::Focus)));
    bar.push(Span::styled("─".repeat(width - here.min(width - 1) - 1), style(Role::Dim)));
    let mut events = vec![Span::raw(" ")];
    events.extend(marks.into_iter().map(|(glyph, role)| Span::styled(glyph.to_string(), style(role))));
    let player = &app.player;
    let state = if player.playing { "playing" } else { "stopped" };
    let says = format!(
        " {state} ×{}  event {} of {}  {}  | stage  v decision  ! alert  * checkpoint  N NaN",
        number(player.speed, 3),
        count(seq),
        count(head),
        app.zone.day(app.view().at)
    );
    let all = [Line::from(bar), Line::from(events), Line::from(Span::styled(says, style(Role::Dim)))];
    lines(frame, area, all);
}

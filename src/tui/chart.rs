//! Curves in a rectangle of cells: smoothed line over the raw range, log y, three x axes, NaN as a gap and a mark, one cursor for all.
//!
//! Used by Live, Train and the comparison of two runs. Smoothing runs over the whole series before anything is thinned, so that it looks the
//! same at every size and zoom. A series is bounded, so a frame costs the same for a thousand steps and for a million.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span as Piece};

use crate::run::curves::{Series, Span};
use crate::run::entry::Stamp;
use crate::text::axis::Axis;
use crate::tui::dots::{Dots, nearest};
use crate::tui::figures::{Zone, columns, count, duration, fit, number};
use crate::tui::screen::line;
use crate::tui::smoothing::smoothed;
pub use crate::tui::smoothing::{Look, XAxis, extent, trend, value};
use crate::tui::theme::{Role, Symbols, Theme};

/// One line of a chart.
#[derive(Clone, Copy)]
pub struct Curve<'a> {
    pub series: &'a Series,
    pub role: Role,
    /// The second of two: dotted, and another letter where there are no dots.
    pub second: bool,
}

/// What a chart shows.
#[derive(Clone)]
pub struct Chart<'a> {
    pub curves: Vec<Curve<'a>>,
    /// The whole range of x, common to all charts of a screen; else that of the curves.
    pub x: Option<(f64, f64)>,
    /// A fixed range of y; else what the values need.
    pub y: Option<(f64, f64)>,
    /// A value to draw a faint line at.
    pub guide: Option<f64>,
}

/// Draws a chart.
pub fn draw(frame: &mut Frame, area: Rect, theme: &Theme, chart: &Chart, look: &Look, zone: Zone) {
    let range = chart.x.or_else(|| extent(chart.curves.iter().map(|curve| curve.series), look.x));
    let Some((first, last)) = range.filter(|_| area.width >= 8 && area.height >= 2) else { return };
    let width = (last - first).max(f64::MIN_POSITIVE);
    let (from, to) = (first + width * look.from, first + width * look.to);
    let points: Vec<_> = chart.curves.iter().map(|curve| (curve, smoothed(curve.series, look))).collect();
    let in_view = |x: f64| (from..=to).contains(&x);
    let log = look.log_y
        && points.iter().all(|(_, points)| points.iter().all(|(_, span, _)| span.finite == 0 || span.min > 0.0));
    let scale = |y: f64| if log { y.log10() } else { y };
    let seen = points.iter().flat_map(|(_, points)| {
        points.iter().filter(|(x, span, _)| in_view(*x) && span.finite > 0).flat_map(|(_, span, smooth)| {
            let raw = look.envelope || look.smoothing == 0.0;
            let (low, high) =
                if raw { (span.min, span.max) } else { (smooth.unwrap_or(span.min), smooth.unwrap_or(span.max)) };
            [scale(low), scale(high)]
        })
    });
    let axis = match chart.y {
        Some((low, high)) if !log => Axis::around([low, high]),
        _ => Axis::around(seen).map(Axis::with_room),
    };
    let Some(axis) = axis else {
        let says = "no finite value yet";
        return line(frame, area, Line::from(Piece::styled(says, theme.style(Role::Error))));
    };
    let plot = axes(frame, area, theme, axis, log, (from, to), look, zone);
    if plot.is_empty() {
        return;
    }
    let grid = Grid { plot, axis, from, to, symbols: theme.symbols };
    if let Some(guide) = chart.guide.map(scale) {
        grid.guide(frame, guide, theme);
    }
    if look.envelope && look.smoothing > 0.0 {
        for (_, points) in &points {
            grid.envelope(frame, points, scale, theme);
        }
    }
    for (curve, points) in &points {
        grid.curve(frame, curve, points, scale, theme);
    }
    if let Some(cursor) = look.cursor {
        grid.cursor(frame, first + width * cursor, theme);
    }
}

/// Draws the labels of both axes; returns the inside.
#[expect(clippy::too_many_arguments, reason = "an axis is all of these, and only this function draws one")]
fn axes(
    frame: &mut Frame,
    area: Rect,
    theme: &Theme,
    axis: Axis,
    log: bool,
    x: (f64, f64),
    look: &Look,
    zone: Zone,
) -> Rect {
    let bottom = u16::from(area.height >= 4);
    let rows = area.height - bottom;
    let mut ticks = axis.ticks(usize::from(rows / 3).clamp(2, 6));
    if log {
        ticks = ticks.into_iter().map(|(at, _)| (at, number(10f64.powf(at), 2))).collect();
    }
    let wide = ticks.iter().map(|(_, label)| columns(label)).max().unwrap_or(0) as u16;
    let left = if area.width > wide + 10 { wide + 1 } else { 0 };
    let plot = Rect { x: area.x + left, y: area.y, width: area.width - left, height: rows };
    let dim = theme.style(Role::Dim);
    if left > 0 {
        for (at, label) in &ticks {
            let row = ((1.0 - axis.place(*at)) * f64::from(rows.saturating_sub(1))).round() as u16;
            let text = crate::tui::figures::right(label, wide.into());
            line(
                frame,
                Rect { x: area.x, y: area.y + row, width: wide, height: 1 },
                Line::from(Piece::styled(text, dim)),
            );
        }
    }
    if bottom > 0 {
        let label = |at: f64| match look.x {
            XAxis::Step => count(at.round().max(0.0) as u64),
            XAxis::Wall => zone.minute(Stamp(at as i64)),
            XAxis::Relative => duration(at / 1e6),
        };
        let (low, high) = (label(x.0), label(x.1));
        let row = Rect { y: area.y + rows, height: 1, ..plot };
        line(frame, row, Line::from(Piece::styled(fit(&low, plot.width.into()), dim)));
        let wide = columns(&high) as u16;
        if columns(&low) as u16 + wide + 1 < plot.width {
            let at = Rect { x: plot.right() - wide, width: wide, ..row };
            line(frame, at, Line::from(Piece::styled(high, dim)));
        }
    }
    plot
}

/// The inside of a chart, as dots.
struct Grid {
    plot: Rect,
    axis: Axis,
    from: f64,
    to: f64,
    symbols: Symbols,
}

impl Grid {
    fn dots(&self) -> Dots {
        Dots::new(self.symbols, self.plot.width, self.plot.height)
    }

    fn x(&self, dots: &Dots, x: f64) -> Option<usize> {
        let share = if self.to > self.from { (x - self.from) / (self.to - self.from) } else { 0.5 };
        (-1e-9..=1.0 + 1e-9).contains(&share).then(|| nearest(share * (dots.size().0 - 1) as f64))
    }

    fn y(&self, dots: &Dots, y: f64) -> usize {
        nearest((1.0 - self.axis.place(y)) * (dots.size().1 - 1) as f64)
    }

    fn guide(&self, frame: &mut Frame, value: f64, theme: &Theme) {
        let mut dots = self.dots();
        let (width, _) = dots.size();
        let y = self.y(&dots, value);
        dots.line((0, y), (width - 1, y), 3);
        dots.paint(frame.buffer_mut(), self.plot, theme.style(Role::Dim), '-');
    }

    fn envelope(
        &self,
        frame: &mut Frame,
        points: &[(f64, Span, Option<f64>)],
        scale: impl Fn(f64) -> f64,
        theme: &Theme,
    ) {
        let mut dots = self.dots();
        for (x, span, _) in points.iter().filter(|(_, span, _)| span.finite > 0) {
            if let Some(x) = self.x(&dots, *x) {
                let (low, high) = (self.y(&dots, scale(span.min)), self.y(&dots, scale(span.max)));
                dots.column(x, high, low);
            }
        }
        dots.paint(frame.buffer_mut(), self.plot, theme.style(Role::Envelope), ':');
    }

    fn curve(
        &self,
        frame: &mut Frame,
        curve: &Curve,
        points: &[(f64, Span, Option<f64>)],
        scale: impl Fn(f64) -> f64,
        theme: &Theme,
    ) {
        let mut dots = self.dots();
        let mut before: Option<(usize, usize)> = None;
        let mut broken: Vec<usize> = Vec::new();
        for (x, span, smooth) in points {
            let Some(x) = self.x(&dots, *x) else {
                before = None;
                continue;
            };
            if span.broken > 0 {
                broken.push(x);
            }
            let here = smooth.map(|value| (x, self.y(&dots, scale(value))));
            match (before, here) {
                (Some(before), Some(here)) => dots.line(before, here, if curve.second { 2 } else { 0 }),
                (None, Some(here)) => dots.set(here.0, here.1),
                (_, None) => {}
            }
            before = here;
        }
        let letter = if curve.second { 'o' } else { '*' };
        dots.paint(frame.buffer_mut(), self.plot, theme.style(curve.role), letter);
        let per_column = dots.size().0 / usize::from(self.plot.width).max(1);
        for x in broken {
            let column = self.plot.x + (x / per_column.max(1)) as u16;
            for row in [self.plot.y, self.plot.bottom() - 1] {
                if column < self.plot.right() {
                    frame.buffer_mut()[(column, row)].set_char('N').set_style(theme.style(Role::Error));
                }
            }
        }
    }

    fn cursor(&self, frame: &mut Frame, at: f64, theme: &Theme) {
        let dots = self.dots();
        let Some(x) = self.x(&dots, at) else { return };
        let column = self.plot.x + (x / (dots.size().0 / usize::from(self.plot.width)).max(1)) as u16;
        for row in self.plot.top()..self.plot.bottom() {
            if column < self.plot.right() {
                let cell = &mut frame.buffer_mut()[(column, row)];
                if cell.symbol() == " " {
                    cell.set_char('│');
                }
                cell.set_style(theme.style(Role::Focus));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn shown(series: &Series, look: Look, symbols: Symbols, width: u16, height: u16) -> String {
        let theme = Theme { symbols, ..Theme::default() };
        let chart =
            Chart { curves: vec![Curve { series, role: Role::Chosen, second: false }], x: None, y: None, guide: None };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| {
                let area = frame.area();
                draw(frame, area, &theme, &chart, &look, Zone::default());
            })
            .unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn a_broken_stretch_is_a_gap_and_a_mark() {
        let mut series = Series::default();
        for x in 0..40u64 {
            series.push(x, 0, if (15..25).contains(&x) { f64::NAN } else { x as f64 });
        }
        let look = Look { smoothing: 0.0, ..Look::default() };
        let picture = shown(&series, look, Symbols::Ascii, 50, 8);
        assert!(picture.contains('N'), "{picture}");
        for line in picture.lines().filter(|line| !line.contains('N')) {
            let inside: String = line.chars().skip(24).take(6).collect();
            assert!(!inside.contains('*'), "{picture}");
        }
    }

    #[test]
    fn odd_series_draw_at_every_size() {
        let odd: [&[f64]; 7] = [
            &[],
            &[1.0],
            &[f64::NAN],
            &[f64::INFINITY, 1.0, f64::NEG_INFINITY],
            &[2.0, 2.0, 2.0],
            &[f64::MIN, f64::MAX],
            &[0.0, -1.0, 1e-300],
        ];
        for values in odd {
            let mut series = Series::default();
            // Twice the same x, as a repeated step gives.
            values.iter().enumerate().for_each(|(x, y)| series.push(x as u64 / 2, 0, *y));
            for (log_y, x) in [(false, XAxis::Step), (true, XAxis::Wall), (true, XAxis::Relative)] {
                for (width, height) in [(1, 1), (8, 2), (12, 3), (30, 8)] {
                    for cursor in [None, Some(0.0), Some(1.0)] {
                        let look = Look { log_y, x, cursor, ..Look::default() };
                        shown(&series, look, Symbols::Braille, width, height);
                        value(&series, &look);
                    }
                }
            }
        }
    }
}

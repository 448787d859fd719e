//! Small dots in character cells: braille (2x4 a cell), half blocks (1x2), or one plain character a cell.
//!
//! Used by `chart`. Knows no numbers, only places.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::theme::Symbols;

/// A grid of dots, one layer of a chart.
pub struct Dots {
    symbols: Symbols,
    width: usize,
    height: usize,
    bits: Vec<u8>,
}

impl Dots {
    /// For an area of so many cells.
    pub fn new(symbols: Symbols, width: u16, height: u16) -> Dots {
        let (width, height) = (usize::from(width), usize::from(height));
        Dots { symbols, width, height, bits: vec![0; width * height] }
    }

    /// Dots in a cell, across and down.
    fn per_cell(symbols: Symbols) -> (usize, usize) {
        match symbols {
            Symbols::Braille => (2, 4),
            Symbols::Block => (1, 2),
            Symbols::Ascii => (1, 1),
        }
    }

    /// Dots across and down.
    pub fn size(&self) -> (usize, usize) {
        let (across, down) = Dots::per_cell(self.symbols);
        (self.width * across, self.height * down)
    }

    /// Sets one dot; `y` counts from the top. Outside is nothing.
    pub fn set(&mut self, x: usize, y: usize) {
        let (across, down) = Dots::per_cell(self.symbols);
        let (column, row) = (x / across, y / down);
        if column >= self.width || row >= self.height {
            return;
        }
        let bit = match self.symbols {
            Symbols::Braille => match (x % 2, y % 4) {
                (0, 3) => 6,
                (1, 3) => 7,
                (0, row) => row,
                (_, row) => row + 3,
            },
            Symbols::Block => y % 2,
            Symbols::Ascii => 0,
        };
        self.bits[row * self.width + column] |= 1 << bit;
    }

    /// A column of dots from `a` to `b`.
    pub fn column(&mut self, x: usize, a: usize, b: usize) {
        for y in a.min(b)..=a.max(b) {
            self.set(x, y);
        }
    }

    /// A line between two dots; with `gap` only every so many columns is set.
    pub fn line(&mut self, from: (usize, usize), to: (usize, usize), gap: usize) {
        if from == to && gap < 2 {
            return self.set(from.0, from.1);
        }
        let (dx, dy) = (to.0 as f64 - from.0 as f64, to.1 as f64 - from.1 as f64);
        let steps = dx.abs().max(dy.abs()).max(1.0) as usize;
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let (x, y) = (nearest(from.0 as f64 + dx * share), nearest(from.1 as f64 + dy * share));
            if gap < 2 || (x / 2).is_multiple_of(gap) {
                self.set(x, y);
            }
        }
    }

    /// Puts the dots on the screen. Cells without a dot stay as they are.
    pub fn paint(&self, buffer: &mut Buffer, area: Rect, style: Style, plain: char) {
        for row in 0..self.height.min(area.height.into()) {
            for column in 0..self.width.min(area.width.into()) {
                let bits = self.bits[row * self.width + column];
                if bits == 0 {
                    continue;
                }
                let symbol = match (self.symbols, bits) {
                    (Symbols::Braille, bits) => char::from_u32(0x2800 + u32::from(bits)).unwrap_or('*'),
                    (Symbols::Block, 1) => '▀',
                    (Symbols::Block, 2) => '▄',
                    (Symbols::Block, _) => '█',
                    (Symbols::Ascii, _) => plain,
                };
                let cell = &mut buffer[(area.x + column as u16, area.y + row as u16)];
                cell.set_char(symbol).set_style(style);
            }
        }
    }
}

/// The dot nearest to a place; before the first it is the first. `f64::round` is a call of a library on most builds, and charts ask this
/// some ten thousand times a frame.
pub fn nearest(place: f64) -> usize {
    (place + 0.5) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_become_characters_of_each_symbol_set() {
        for (symbols, expected) in [(Symbols::Braille, "⣀⠤⠒⠉"), (Symbols::Block, "▄▄▀▀"), (Symbols::Ascii, "****")]
        {
            let mut dots = Dots::new(symbols, 4, 1);
            let (width, height) = dots.size();
            dots.line((0, height - 1), (width - 1, 0), 0);
            let area = Rect::new(0, 0, 4, 1);
            let mut buffer = Buffer::empty(area);
            dots.paint(&mut buffer, area, Style::default(), '*');
            let shown: String = (0..4).map(|x| buffer[(x, 0)].symbol()).collect();
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn places_outside_are_nothing() {
        let mut dots = Dots::new(Symbols::Braille, 2, 1);
        dots.set(400, 2);
        dots.set(0, 4);
        assert!(dots.bits.iter().all(|&bits| bits == 0));
    }
}

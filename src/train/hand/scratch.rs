//! Buffers that live from step to step: a step of the same size allocates nothing and touches no fresh page.

/// Buffers that nobody uses at the moment. What stands in them is left over.
#[derive(Debug, Default)]
pub struct Scratch {
    free: Vec<Vec<f32>>,
}

impl Scratch {
    /// So many numbers of no particular value.
    pub fn take(&mut self, length: usize) -> Vec<f32> {
        let fits = |buffer: &Vec<f32>| buffer.capacity() >= length;
        let smallest =
            (0..self.free.len()).filter(|&at| fits(&self.free[at])).min_by_key(|&at| self.free[at].capacity());
        // Without one that fits, the largest makes way for a larger one, so that few are held.
        let largest = || (0..self.free.len()).max_by_key(|&at| self.free[at].capacity());
        let mut buffer = match smallest {
            // One that is far too large is left to those who need it.
            Some(at) if self.free[at].capacity() <= 4 * length + 4096 => self.free.swap_remove(at),
            Some(_) => Vec::new(),
            None => {
                if let Some(at) = largest() {
                    drop(self.free.swap_remove(at));
                }
                Vec::new()
            }
        };
        if buffer.capacity() < length {
            buffer = vec![0.0; length];
        }
        buffer.resize(length, 0.0);
        buffer
    }

    pub fn zeros(&mut self, length: usize) -> Vec<f32> {
        let mut buffer = self.take(length);
        buffer.fill(0.0);
        buffer
    }

    pub fn give(&mut self, buffer: Vec<f32>) {
        if buffer.capacity() > 0 {
            self.free.push(buffer);
        }
    }

    pub fn give_all(&mut self, buffers: impl IntoIterator<Item = Vec<f32>>) {
        buffers.into_iter().for_each(|buffer| self.give(buffer));
    }
}

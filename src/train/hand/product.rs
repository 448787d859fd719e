//! Products of matrices over plain slices: bounds are checked here, then the `gemm` crate computes on this thread.
//!
//! Everything that the hand-written Llama multiplies goes through one function. It knows no layer.

use gemm::Parallelism;

/// Numbers looked at as a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row, each right behind the one before.
    pub fn new(numbers: &'a [f32], rows: usize, columns: usize) -> Matrix<'a> {
        Matrix::wide(numbers, rows, columns, columns)
    }

    /// Rows that begin so far apart: some columns of a wider matrix.
    pub fn wide(numbers: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Matrix<'a> {
        Matrix { numbers, rows, columns, row_step, column_step: 1 }
    }

    pub fn transposed(self) -> Matrix<'a> {
        let Matrix { numbers, rows, columns, row_step, column_step } = self;
        Matrix { numbers, rows: columns, columns: rows, row_step: column_step, column_step: row_step }
    }

    fn fits(&self) -> bool {
        let last = (self.rows.max(1) - 1) * self.row_step + (self.columns.max(1) - 1) * self.column_step;
        last < self.numbers.len()
    }
}

/// Where a product goes: rows that begin `step` numbers apart.
#[derive(Debug)]
pub struct Into<'a> {
    pub numbers: &'a mut [f32],
    pub step: usize,
    /// Add to what is there instead of replacing it.
    pub add: bool,
}

impl<'a> Into<'a> {
    pub fn new(numbers: &'a mut [f32], step: usize) -> Into<'a> {
        Into { numbers, step, add: false }
    }

    pub fn added(numbers: &'a mut [f32], step: usize) -> Into<'a> {
        Into { numbers, step, add: true }
    }
}

/// out = scale · left × right, or out += that.
pub fn product(left: Matrix<'_>, right: Matrix<'_>, scale: f32, out: Into<'_>) {
    let (rows, columns, depth) = (left.rows, right.columns, left.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    let last = (rows - 1) * out.step + columns - 1;
    let fits = depth > 0 && depth == right.rows && left.fits() && right.fits() && last < out.numbers.len();
    assert!(fits && columns <= out.step.max(columns), "a product of {left:?} and {right:?} does not fit");
    #[expect(unsafe_code, reason = "the fastest product there is takes pointers; every index was checked just above")]
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            out.numbers.as_mut_ptr(),
            1,
            out.step as isize,
            out.add,
            left.numbers.as_ptr(),
            left.column_step as isize,
            left.row_step as isize,
            right.numbers.as_ptr(),
            right.column_step as isize,
            right.row_step as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_every_orientation_are_sums_of_products() {
        let a: Vec<f32> = (0..12).map(|i| i as f32 - 3.0).collect();
        let b: Vec<f32> = (0..20).map(|i| (i % 7) as f32).collect();
        let (left, right) = (Matrix::new(&a, 3, 4), Matrix::new(&b, 4, 5));
        let mut out = vec![1.0; 15];
        product(left, right, 0.5, Into::added(&mut out, 5));
        for row in 0..3 {
            for column in 0..5 {
                let sum: f32 = (0..4).map(|k| a[row * 4 + k] * b[k * 5 + column]).sum();
                assert_eq!(out[row * 5 + column], 1.0 + 0.5 * sum);
            }
        }
        // (left × right)ᵀ = rightᵀ × leftᵀ, into columns of something wider.
        let mut turned = vec![0.0; 5 * 6];
        product(right.transposed(), left.transposed(), 0.5, Into::new(&mut turned, 6));
        for row in 0..3 {
            for column in 0..5 {
                assert_eq!(turned[column * 6 + row], out[row * 5 + column] - 1.0);
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_product_that_reaches_beyond_its_numbers_is_refused() {
        let a = [0.0; 12];
        product(Matrix::new(&a, 3, 4), Matrix::new(&a, 4, 4), 1.0, Into::new(&mut [0.0; 12], 4));
    }
}

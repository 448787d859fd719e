//! The packed form: the numbers of transformers, and the same bits however the work is cut.

use std::sync::LazyLock;

use selfreward::model::packed::attention::Span;
use selfreward::model::packed::crew::Crew;
use selfreward::model::packed::llama::{PackedLlama, Workspace};
use selfreward::model::packed::pages::{PageId, Pages};

use crate::llama_fixtures::{CASES, load};

static TWO_THREADS: LazyLock<Crew> = LazyLock::new(|| Crew::new(2).unwrap());

/// Logits after each token of some rows, the rows cut into chunks that enter one forward after the other.
fn logits(crew: &Crew, llama: &PackedLlama, rows: &[&[u32]], chunk: usize) -> Vec<Vec<Vec<f32>>> {
    let mut pages = Pages::new(&llama.shape, 64 << 20);
    let mut work = Workspace::default();
    let tables: Vec<Vec<PageId>> =
        rows.iter().map(|row| (0..Pages::needed(row.len())).map(|_| pages.take().unwrap()).collect()).collect();
    let mut all = vec![Vec::new(); rows.len()];
    let longest = rows.iter().map(|row| row.len()).max().unwrap();
    for start in (0..longest).step_by(chunk) {
        let mut spans = Vec::new();
        let mut tokens = Vec::new();
        let mut owners = Vec::new();
        for (index, row) in rows.iter().enumerate().filter(|(_, row)| row.len() > start) {
            let count = chunk.min(row.len() - start);
            spans.push(Span { first: start, count, table: &tables[index] });
            tokens.extend_from_slice(&row[start..start + count]);
            owners.extend(vec![index; count]);
        }
        llama.forward(crew, &spans, &tokens, &mut pages, &mut work);
        let picked: Vec<usize> = (0..tokens.len()).collect();
        let out = llama.logits(crew, tokens.len(), &picked, &mut work).to_vec();
        for (row, &owner) in owners.iter().enumerate() {
            let mut one = Vec::new();
            llama.gather_logits(&out, tokens.len(), row, &mut one);
            let total = llama.log_total(&out, tokens.len(), row);
            one.iter_mut().for_each(|logit| *logit -= total);
            all[owner].push(one);
        }
    }
    all
}

#[test]
fn log_probs_of_the_packed_form_equal_those_of_transformers() {
    for case in CASES {
        let (folder, golden) = load(case);
        let llama = PackedLlama::pack(&Crew::alone(), &folder.shape, &folder).unwrap();
        assert_eq!(llama.is_bf16(), case.ends_with("bf16"), "{case}");
        for text in &golden.texts {
            let log_probs = &logits(&Crew::alone(), &llama, &[&text.tokens], 64)[0];
            let worst = text
                .log_probs
                .iter()
                .enumerate()
                .map(|(i, expected)| (log_probs[i][text.tokens[i + 1] as usize] - expected).abs());
            let worst = worst.fold(0.0, f32::max);
            assert!(worst <= 1e-4, "{case}: {worst}");
        }
    }
}

#[test]
fn bits_depend_neither_on_chunks_nor_on_the_batch_nor_on_threads() {
    for case in CASES {
        let (folder, golden) = load(case);
        let llama = PackedLlama::pack(&Crew::alone(), &folder.shape, &folder).unwrap();
        let texts: Vec<&[u32]> = golden.texts.iter().map(|text| text.tokens.as_slice()).collect();
        let alone = logits(&Crew::alone(), &llama, &texts[..1], 64).remove(0);
        for chunk in [1, 7, 32, 33] {
            assert!(logits(&Crew::alone(), &llama, &texts[..1], chunk)[0] == alone, "{case} in chunks of {chunk}");
        }
        let many: Vec<&[u32]> =
            (0..13).map(|i| if i == 5 { texts[0] } else { &texts[1 + i % 2][..64 - 3 * i] }).collect();
        for chunk in [1, 64] {
            let batched = logits(&TWO_THREADS, &llama, &many, chunk).remove(5);
            assert!(batched == alone, "{case} among twelve others, in chunks of {chunk}");
        }
    }
}

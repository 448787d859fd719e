//! The acts of a story, stage by stage.

use std::collections::BTreeMap;

use selfreward::run::measures::*;
use selfreward::run::reasons::{Ended, NoPair, Refusal, Sign, SignKind, Unscored};

use super::*;

impl Teller {
    pub(super) fn opening(&mut self) {
        let Plot { name, iterations, prompts, steps, seed, ser, rloo, .. } = self.plot.clone();
        let prompts64 = u64::from(prompts);
        let mut plan = vec![
            Planned { iteration: 0, stage: Stage::Baseline, model: Model::Baseline, total: steps / 2 },
            Planned { iteration: 0, stage: Stage::Eft, model: Model::Baseline, total: 40 },
            Planned { iteration: 0, stage: Stage::Sft, model: Model::M(1), total: steps / 2 },
        ];
        let loops = if ser { 0..4 } else { 0..0 };
        for number in loops {
            let planned = |stage, model, total| Planned { iteration: 0, stage, model, total };
            if number > 0 {
                plan.push(planned(Stage::Check, Model::Reward(number - 1), 25));
            }
            plan.push(planned(Stage::Reward, Model::Reward(number), 20 + 20 * u64::from(number)));
        }
        for iteration in 1..=iterations {
            let (acting, made) = (Model::M(iteration), Model::M(iteration + 1));
            for (stage, model, total) in [
                (Stage::Prompts, acting, prompts64),
                (Stage::Candidates, acting, prompts64 * 4),
                (Stage::Judge, acting, prompts64 * 12),
                (Stage::Pairs, acting, prompts64),
                (Stage::Check, acting, 25),
                (if rloo { Stage::Rloo } else { Stage::Dpo }, made, steps),
                (Stage::Eval, made, 30),
            ] {
                plan.push(Planned { iteration, stage, model, total });
            }
        }
        let started = RunStarted {
            recipe: if ser { "ser" } else { "self" }.into(),
            name: name.into(),
            program: "selfreward 0.1.0".into(),
            config: if rloo {
                serde_json::json!({"seed": seed, "dpo": {"learn": "rloo"}, "rloo": {"beta": 0.05, "lr": 5e-6}, "judge": {"samples": 3}})
            } else {
                serde_json::json!({"seed": seed, "dpo": {"beta": 0.1, "lr": 5e-6}, "judge": {"samples": 3}})
            },
            config_hash: "0".repeat(64),
            seed,
            policy: "rehearsal".into(),
            judge: if ser { "reward-model" } else { "self" }.into(),
            iterations,
            data: Vec::new(),
            plan,
        };
        self.say(0.0, Event::RunStarted(Box::new(started)));
        let attached = EngineAttached {
            pid: 4211,
            host: "node7".into(),
            attempt: 1,
            device: "cpu".into(),
            device_why: "no other device was asked for".into(),
            versions: BTreeMap::new(),
            threads: 2,
        };
        self.say(0.4, Event::EngineAttached(Box::new(attached)));
    }

    pub(super) fn iteration_zero(&mut self) -> Told {
        self.sft(Stage::Baseline, Model::Baseline)?;
        self.begin(0, Stage::Eft, Model::Baseline, 40);
        for item in 0..40 {
            let score = 1.0 + self.below(5) as f64;
            let reply = self.rationale(Some(score));
            self.say(
                0.3,
                EftJudged {
                    iteration: 0,
                    model: Model::Baseline,
                    held_out: false,
                    set: item / 4,
                    response: item % 4,
                    sample: 0,
                    reply,
                    score: Ok(score),
                    truncated: false,
                },
            );
            self.maybe_end(0, Stage::Eft, f64::from(item) / 40.0)?;
        }
        self.say(
            0.2,
            EftFiltered {
                iteration: 0,
                judged: 40,
                kept: 22,
                unparsed: 1,
                disagreed: 12,
                thinned: 5,
                histogram_before: [0, 3, 7, 9, 15, 6],
                histogram_after: [0, 3, 6, 5, 4, 4],
            },
        );
        self.finish(0, Stage::Eft, Model::Baseline, 40);
        self.sft(Stage::Sft, Model::M(1))?;
        if self.plot.ser {
            self.reward_loops()?;
        }
        self.eval(0, Model::M(1))
    }

    fn sft(&mut self, stage: Stage, model: Model) -> Told {
        let of = self.plot.steps / 2;
        self.begin(0, stage, model, of);
        for step in 1..=of {
            let share = step as f64 / of as f64;
            let loss = 1.1 + 2.0 * (-3.0 * share).exp() + 0.1 * self.noise();
            let grad = 0.8 + 0.3 * self.noise().abs();
            self.say(
                1.2,
                SftStep {
                    iteration: 0,
                    model,
                    step,
                    of,
                    loss: number(loss),
                    lr: number(2e-4 * (1.0 - 0.9 * share)),
                    grad_norm: number(grad),
                    tokens: 2048,
                    not_applied: Vec::new(),
                    held_out_loss: step.is_multiple_of(10).then(|| number(loss + 0.1)),
                    tokens_per_s: Some(number(1700.0)),
                    memory_bytes: Some(610_000_000),
                },
            );
            self.maybe_end(0, stage, share)?;
        }
        self.finish(0, stage, model, of);
        self.checkpoint(0, stage, model, of);
        Ok(())
    }

    pub(super) fn checkpoint(&mut self, iteration: u32, stage: Stage, model: Model, step: u64) {
        let folder = format!("checkpoints/{model}");
        self.say(
            0.8,
            CheckpointSaved {
                iteration,
                stage,
                model,
                step,
                folder,
                bytes: 42_000_000,
                hash: "0".repeat(64),
                finished: true,
                request: None,
            },
        );
    }

    pub(super) fn prompts(&mut self, iteration: u32) -> Told {
        let total = self.plot.prompts;
        let writer = Model::M(iteration);
        self.begin(iteration, Stage::Prompts, writer, total.into());
        let mut attempt = 0;
        for number in 0..total {
            if self.chance() < 0.2 {
                let text = self.prompt_text(number + 3);
                let why = match self.below(3) {
                    0 => Refusal::TooLike { likeness: 0.82, other: "Why do cats purr?".into() },
                    1 => Refusal::TooShort { words: 2 },
                    _ => Refusal::Keyword { word: "image".into() },
                };
                self.say(0.2, PromptRefused { iteration, attempt, text, why });
                attempt += 1;
            }
            let text = self.prompt_text(number);
            let likeness = 0.2 + 0.3 * self.chance();
            let id = pair_id(iteration, number);
            self.say(0.3, PromptWritten { id, text, writer, likeness, attempt, nll: Some(1.9) });
            attempt += 1;
            self.maybe_end(iteration, Stage::Prompts, f64::from(number) / f64::from(total))?;
        }
        self.finish(iteration, Stage::Prompts, writer, total.into());
        Ok(())
    }

    pub(super) fn candidates(&mut self, iteration: u32) -> Told {
        let total = u64::from(self.plot.prompts) * 4;
        self.begin(iteration, Stage::Candidates, Model::M(iteration), total);
        for number in 0..self.plot.prompts {
            for candidate in 0..4 {
                let long = self.ill(Illness::Length, iteration) && candidate == 0;
                let text = self.answer(iteration, long);
                let tokens = text.split_whitespace().count() as u32 + 3;
                let ended = if self.chance() < 0.02 { Ended::Length } else { Ended::Eos };
                let logprob = -1.2 + 0.3 * self.noise();
                self.say(
                    0.4,
                    CandidateSampled {
                        writer: None,
                        prompt: pair_id(iteration, number),
                        candidate,
                        text,
                        ended,
                        tokens,
                        token_ids: Vec::new(),
                        logprob_per_token: Some(logprob),
                    },
                );
                let done = u64::from(number) * 4 + u64::from(candidate) + 1;
                self.maybe_end(iteration, Stage::Candidates, done as f64 / total as f64)?;
            }
        }
        let collapsed = self.ill(Illness::Collapse, iteration) && iteration >= 2;
        let values = [
            ("distinct_2", if collapsed { 0.11 } else { 0.58 }),
            ("near_duplicates", if collapsed { 0.7 } else { 0.02 }),
            ("repetition", if collapsed { 0.5 } else { 0.01 }),
            ("mean_words", if self.ill(Illness::Length, iteration) { 40.0 * f64::from(iteration) } else { 31.0 }),
        ];
        let values = values.into_iter().map(|(name, value)| (name.to_string(), Num(value))).collect();
        self.say(0.1, Measured { iteration, stage: Stage::Candidates, values, phrases: Vec::new() });
        self.finish(iteration, Stage::Candidates, Model::M(iteration), total);
        Ok(())
    }

    /// A judge's score, or why there is none.
    fn score(&mut self, iteration: u32, candidate: u32) -> Result<f64, Unscored> {
        let lost = if self.ill(Illness::Unparsed, iteration) && iteration >= 2 { 0.78 } else { 0.005 };
        if self.chance() < lost {
            return Err(Unscored::ALL[self.below(4)]);
        }
        if self.ill(Illness::Saturated, iteration) && self.chance() < 0.9 {
            return Ok(5.0);
        }
        let mut mean = 1.6 + f64::from(candidate) * 0.7;
        if self.ill(Illness::Length, iteration) {
            mean = if candidate == 0 { 4.6 } else { 2.0 };
        }
        Ok((mean + self.noise()).round().clamp(0.0, 5.0))
    }

    pub(super) fn judging(&mut self, iteration: u32) -> Told {
        let total = u64::from(self.plot.prompts) * 12;
        self.begin(iteration, Stage::Judge, Model::M(iteration), total);
        let mut done = 0;
        for number in 0..self.plot.prompts {
            for candidate in 0..4 {
                for sample in 0..3 {
                    let score = self.score(iteration, (candidate + number) % 4);
                    let reply = self.rationale(score.ok());
                    let span = score.is_ok().then(|| (reply.rfind("Score").unwrap() as u32, reply.len() as u32));
                    self.say(
                        0.15,
                        CandidateJudged {
                            prompt: pair_id(iteration, number),
                            candidate,
                            sample,
                            reply,
                            score,
                            span,
                            truncated: false,
                            contradicts: false,
                        },
                    );
                    done += 1;
                    self.maybe_end(iteration, Stage::Judge, done as f64 / total as f64)?;
                }
            }
        }
        self.finish(iteration, Stage::Judge, Model::M(iteration), total);
        Ok(())
    }

    pub(super) fn pairing(&mut self, iteration: u32) -> Told {
        let total = u64::from(self.plot.prompts);
        self.begin(iteration, Stage::Pairs, Model::M(iteration), total);
        for number in 0..self.plot.prompts {
            let prompt = self.view.round(iteration).unwrap().prompts[number as usize].clone();
            let means: Vec<Option<f64>> = prompt
                .candidates
                .iter()
                .map(|candidate| {
                    let scores: Vec<f64> = candidate.judgements.iter().filter_map(|j| j.score().ok()).collect();
                    (scores.len() >= 2).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
                })
                .collect();
            let scored: Vec<(u32, f64)> = means.iter().zip(0..).filter_map(|(mean, c)| Some((c, (*mean)?))).collect();
            let id = pair_id(iteration, number);
            let best = scored.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
            let worst = scored.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
            match (best, worst) {
                (Some(best), Some(worst)) if scored.len() >= 2 && best.1 > worst.1 => {
                    let words = |candidate: u32| f64::from(prompt.candidates[candidate as usize].words.max(1));
                    let length_ratio = words(best.0) / words(worst.0);
                    let mut signs = Vec::new();
                    if length_ratio > 1.5 {
                        signs.push(Sign { kind: SignKind::Length, amount: 0.28 });
                    }
                    if self.ill(Illness::Gaming, iteration) && self.chance() < 0.2 {
                        signs.push(Sign { kind: SignKind::Gaming, amount: 0.4 });
                    }
                    if best.1 - worst.1 < 1.0 {
                        signs.push(Sign { kind: SignKind::SmallMargin, amount: 0.08 });
                    }
                    let suspicion = signs.iter().fold(0.0, |sum: f64, sign| sum + sign.amount).min(1.0);
                    self.say(
                        0.01,
                        PairSelected {
                            id,
                            chosen: best.0,
                            rejected: worst.0,
                            chosen_score: Some(best.1),
                            rejected_score: Some(worst.1),
                            means,
                            length_ratio,
                            suspicion,
                            signs,
                        },
                    );
                }
                (Some(_), Some(_)) if scored.len() >= 2 => {
                    self.say(0.01, PromptSkipped { id, why: NoPair::Tie, means });
                }
                _ => {
                    let why = NoPair::TooFewScores { scored: scored.len() as u32, needed: 2 };
                    self.say(0.01, PromptSkipped { id, why, means });
                }
            }
            self.maybe_end(iteration, Stage::Pairs, f64::from(number) / total as f64)?;
        }
        let forged = self.view.round(iteration).map_or(0, |round| {
            round.pairs().filter(|(_, pair)| pair.signs.iter().any(|sign| sign.kind == SignKind::Gaming)).count()
        });
        let forged = forged as f64;
        let values = [
            ("mean_margin", 1.6),
            ("noisy_pairs", 0.2),
            ("length_rho", 0.1),
            ("forged_pairs", forged),
            ("forged_chosen", forged),
        ];
        let values = values.into_iter().map(|(name, value)| (name.to_string(), Num(value))).collect();
        self.say(0.1, Measured { iteration, stage: Stage::Pairs, values, phrases: Vec::new() });
        self.finish(iteration, Stage::Pairs, Model::M(iteration), total);
        Ok(())
    }

    pub(super) fn check(&mut self, iteration: u32) -> Told {
        let pairs: Vec<(PromptId, f64)> =
            self.view.round(iteration).unwrap().pairs().map(|(id, pair)| (id, pair.suspicion)).collect();
        let mut by_suspicion = pairs.clone();
        by_suspicion.sort_by(|a, b| b.1.total_cmp(&a.1));
        let suspicious = by_suspicion.iter().take(9).map(|(pair, _)| (*pair, Picked::Suspicious));
        let random = by_suspicion.iter().skip(9).step_by(4).take(6).map(|(pair, _)| (*pair, Picked::Random));
        let queue: Vec<Queued> = suspicious.chain(random).map(|(pair, picked)| Queued { pair, picked }).collect();
        let offered = queue.len() as u32;
        self.begin(iteration, Stage::Check, Model::M(iteration), offered.into());
        let gate = Gate::Deadline { seconds: 1800.0 };
        self.say(0.1, SpotCheckOpened { iteration, number: None, gate, queue: queue.clone(), undecided_limit: 0.9 });
        self.maybe_end(iteration, Stage::Check, 0.0)?;
        let mut bad = 0;
        let asked = if self.plot.decided { queue.len() } else { 0 };
        for (place, queued) in queue.iter().enumerate().take(asked) {
            let pair = self.view.pair(queued.pair).unwrap().clone();
            let stands = Outcome::Use { chosen: pair.chosen, rejected: pair.rejected };
            let swapped = Outcome::Use { chosen: pair.rejected, rejected: pair.chosen };
            let (decision, outcome, reason) = match place {
                0 | 4 => (Decision::Veto, Outcome::Drop, Some(VetoReason::Length)),
                7 => (Decision::Swap, swapped, None),
                11 => (Decision::Veto, Outcome::Drop, None),
                _ => (Decision::Keep, stands, None),
            };
            bad += u32::from(queued.picked == Picked::Random && outcome != stands);
            let request = self.request();
            let took = 900 + self.below(4000) as u64;
            self.say(
                took as f64 / 1000.0,
                PairDecided {
                    decision,
                    pairs: vec![Decided { pair: queued.pair, outcome }],
                    by: "ana".into(),
                    request,
                    reason,
                    note: None,
                    took_ms: Some(took),
                    blind: false,
                    filter: None,
                },
            );
            self.maybe_end(iteration, Stage::Check, (place + 1) as f64 / queue.len() as f64)?;
        }
        let decided = if self.plot.decided { offered } else { 0 };
        let why = if self.plot.decided { GateClosed::Decided } else { GateClosed::Deadline };
        let random_decided = if self.plot.decided { offered.saturating_sub(9) } else { 0 };
        let (number, random_bad) = (None, bad);
        self.say(0.1, SpotCheckClosed { iteration, number, why, offered, decided, random_decided, random_bad });
        self.finish(iteration, Stage::Check, Model::M(iteration), decided.into());
        let round = self.view.round(iteration).unwrap();
        let mut used = Vec::new();
        let mut left_out = Vec::new();
        for (pair, view) in round.pairs() {
            match view.outcome {
                Outcome::Undecided => used.push(Used { pair, chosen: view.chosen, rejected: view.rejected }),
                Outcome::Use { chosen, rejected } => used.push(Used { pair, chosen, rejected }),
                Outcome::Drop => left_out.push(LeftOut { pair, why: LeftOutWhy::Human }),
            }
        }
        let hash = "0".repeat(64);
        self.say(0.1, TrainingSetFixed { iteration, number: None, pairs: used, left_out, hash });
        Ok(())
    }

    pub(super) fn dpo(&mut self, iteration: u32) -> Told {
        let of = self.plot.steps;
        let model = Model::M(iteration + 1);
        self.begin(iteration, Stage::Dpo, model, of);
        let hot = self.ill(Illness::HotDpo, iteration);
        for step in 1..=of {
            let share = (step - 1) as f64 / of as f64;
            let speed = if hot { 30.0 } else { 1.6 };
            let margin = if hot { 9.0 } else { 1.4 } * (1.0 - (-speed * share).exp());
            let noise = if step == 1 { 0.0 } else { 0.08 * self.noise() };
            let mut loss = (1.0 + (-margin).exp()).ln() + noise * if hot { 0.01 } else { 1.0 };
            if self.ill(Illness::Nan, iteration) && (step == of / 2 || step == of / 2 + 1) {
                loss = f64::NAN;
            }
            let accuracy = if hot { 1.0 } else { (0.5 + 0.35 * share + 0.1 * self.noise()).clamp(0.0, 1.0) };
            let fall = if hot { -1.2 * share } else { -0.05 * share };
            self.say(
                1.8,
                DpoStep {
                    iteration,
                    model,
                    step,
                    of,
                    loss: number(loss),
                    reward_chosen: number(margin * 0.4 + fall),
                    reward_rejected: number(-margin * 0.6 + fall),
                    margin: number(margin + noise),
                    accuracy: number(accuracy),
                    logp_chosen: number(-48.0 + 30.0 * fall),
                    logp_rejected: number(-50.0 - 8.0 * margin),
                    logp_chosen_per_token: number(-1.2 + fall),
                    logp_rejected_per_token: number(-1.25 - 0.2 * margin),
                    reference_chosen_per_token: number(-1.2),
                    kl: step.is_multiple_of(5).then(|| number(0.3 * margin)),
                    kl_held_out: None,
                    kl_held_out_n: None,
                    not_applied: Vec::new(),
                    grad_norm: number(2.0 + noise.abs()),
                    lr: number(5e-6 * (1.0 - 0.9 * share)),
                    pairs: 8,
                    tokens: 900,
                    held_out_accuracy: step.is_multiple_of(20).then(|| number(0.55 + 0.1 * share)),
                    tokens_per_s: Some(number(480.0 + 20.0 * noise)),
                    memory_bytes: Some(880_000_000),
                },
            );
            if step.is_multiple_of(20) {
                self.warn();
            }
            self.maybe_end(iteration, Stage::Dpo, step as f64 / of as f64)?;
        }
        self.finish(iteration, Stage::Dpo, model, of);
        self.checkpoint(iteration, Stage::Dpo, model, of);
        Ok(())
    }

    pub(super) fn eval(&mut self, iteration: u32, model: Model) -> Told {
        self.begin(iteration, Stage::Eval, model, 30);
        for item in 0..30 {
            let text = self.answer(iteration, false);
            let tokens = text.split_whitespace().count() as u32;
            let oracle = Some(self.chance());
            self.say(
                0.5,
                HeldOutAnswered { iteration, model, item, temperature: 0.7, text, ended: Ended::Eos, tokens, oracle },
            );
            self.maybe_end(iteration, Stage::Eval, f64::from(item + 1) / 30.0)?;
        }
        let made = match model {
            Model::Baseline => 0,
            Model::M(number) | Model::Reward(number) => number,
        };
        let lost = if self.ill(Illness::Unparsed, iteration) && iteration >= 2 { 62 } else { 1 };
        let better = 0.56 + 0.04 * f64::from(made);
        let interval = |mid: f64, half: f64| Interval { low: mid - half, high: mid + half };
        let oracle = OracleQuality {
            n: 30,
            mean_t07: 0.41 + 0.05 * f64::from(made),
            perfect_t07: 0.12 + 0.04 * f64::from(made),
            mean_t10: 0.38 + 0.04 * f64::from(made),
            perfect_t10: 0.10 + 0.03 * f64::from(made),
            mean_t07_interval: interval(0.41 + 0.05 * f64::from(made), 0.05),
            perfect_t07_interval: interval(0.12 + 0.04 * f64::from(made), 0.05),
            mean_t10_interval: interval(0.38 + 0.04 * f64::from(made), 0.05),
            perfect_t10_interval: interval(0.10 + 0.03 * f64::from(made), 0.05),
        };
        let evaluated = Evaluated {
            iteration,
            model,
            agreement: Agreement {
                prompts: 20,
                pairs: 64,
                pairwise_strict: Some(better - 0.08),
                pairwise_half: Some(better),
                pairwise_excluding: Some(better + 0.05),
                coverage: Some(0.83),
                five_best: Some(0.6),
                five_best_n: 21,
                exact_match: Some(0.31),
                exact_match_n: 19,
                spearman: Some(0.28),
                spearman_n: 18,
                kendall: Some(0.24),
                kendall_n: 18,
                undefined: 2,
                pooled_spearman: Some(0.3),
                pooled_kendall: Some(0.26),
                unparsed: lost,
                responses: 80,
                ties: 11,
                unparsed_pairs: lost,
                chance_strict: Some(0.41),
                interval: Some(interval(better, 0.07)),
                interval_strict: Some(interval(better - 0.08, 0.08)),
            },
            length_matched: Some(better - 0.03),
            scores: ScoreSpread {
                histogram: [1, 4, 13, 24, 28, 9],
                unparsed: lost,
                mean: Some(3.27),
                entropy: Some(2.1),
                length_rho: Some(0.12),
            },
            confusion: [[0, 1, 2, 6, 12, 5], [0, 1, 4, 8, 9, 3], [0, 1, 4, 7, 5, 1], [1, 1, 3, 3, 2, 0]],
            anchors: Some(Anchors { n: 16, mean: 3.1, variance: 0.4, tau_previous: (made > 1).then_some(0.71) }),
            oracle: Some(oracle),
            head_to_head: (1..made)
                .map(|other| HeadToHead {
                    against: Model::M(other),
                    by: Referee::Judge,
                    win: 14,
                    tie: 9,
                    lose: 7,
                    unparsed: 1,
                    words: 31.0,
                    words_against: 29.5,
                })
                .collect(),
            lengths: Lengths { n: 30, mean: 31.0, p50: 28.0, p95: 61.0 },
            diversity: Diversity { distinct_1: 0.41, distinct_2: 0.72, repetition: 0.01, truncated: 0.0 },
            pairs_truly_better: (made > 1).then_some(Share { count: 39, n: 52 }),
            hindsight: None,
        };
        self.say(0.2, Event::Evaluated(Box::new(evaluated)));
        self.finish(iteration, Stage::Eval, model, 30);
        Ok(())
    }
}

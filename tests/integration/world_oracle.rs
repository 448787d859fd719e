//! The oracle against tables made by hand: in every family each point of the rubric is won and lost.

use selfreward::microworld::{Prompt, oracle};

/// Answer, the points it wins (Relevant, Covers, Full, cLear, Expert) and the rationale.
type Row = (&'static str, &'static str, &'static str);

const FLAWLESS: &str = "Complete, correct and clear.";
const OFF_TASK: &str = "This does not answer the task.";

const FAMILIES: &[(&str, &[Row])] = &[
    (
        "Name three red fruits.",
        &[
            ("Apple, cherry and cranberry.", "RCFLE", FLAWLESS),
            ("Apple, cherry and cranberry. I hope this helps you a lot.", "RCFL-", "It adds needless words."),
            ("Apple, cherry and cranberry", "RCF--", "It is not well formed."),
            ("Apple, cherry and and cranberry.", "RCF--", "It repeats itself."),
            ("Apple, cherry and pear.", "RC-L-", "Pear is not a red fruit. It lists only two of three."),
            ("Apple, cherry and apple.", "RC---", "It lists only two of three. It repeats itself."),
            ("Apple, cherry, cranberry and strawberry.", "RC-L-", "It lists more than three."),
            ("Apple and cherry.", "RC-L-", "It lists only two of three."),
            ("Apple.", "R--L-", "It lists only one of three."),
            ("Pear, lime and lemon.", "R--L-", "Pear is not a red fruit. It lists none of three."),
            ("Apple, cherry", "RC---", "It lists only two of three. It is not well formed."),
            ("Apple, owl", "R----", "Owl is not a red fruit. It lists only one of three."),
            ("Bear, owl and crab.", "-----", OFF_TASK),
            ("", "-----", OFF_TASK),
        ],
    ),
    (
        "Please give me two animals.",
        &[
            ("Owl and crab.", "RCFLE", FLAWLESS),
            ("Owl and spoon.", "R--L-", "Spoon is not an animal. It lists only one of two."),
            ("Spoon and fork.", "-----", OFF_TASK),
        ],
    ),
    (
        "Which word is the vegetable: beet, apple, cap?",
        &[
            ("Beet is a vegetable.", "RCFLE", FLAWLESS),
            ("As far as I know, beet is a vegetable.", "RCFL-", "It adds needless words."),
            ("Beet is a vegetable", "RCF--", "It is not well formed."),
            ("Beet is an vegetable.", "RCF--", "It is not well formed."),
            ("Beet is a vegetable. Beet is a vegetable.", "RCF--", "It repeats itself."),
            ("Beet is a fruit.", "RC-L-", "Beet is a vegetable."),
            ("Apple is a vegetable.", "R--L-", "Apple is not a vegetable. Beet is a vegetable."),
            ("Beet and apple is a vegetable.", "RC---", "Apple is not a vegetable. It is not well formed."),
            ("Cap is a", "R----", "Cap is not a vegetable. Beet is a vegetable."),
            ("Onion is a vegetable.", "-----", OFF_TASK),
            ("I do not know.", "-----", OFF_TASK),
        ],
    ),
    (
        "Which is bigger, a seal or a shark?",
        &[
            ("A shark is bigger than a seal.", "RCFLE", FLAWLESS),
            ("Well, I think that maybe a shark is bigger than a seal.", "RCFL-", "It adds needless words."),
            ("A shark is bigger than a seal", "RCF--", "It is not well formed."),
            ("A seal is bigger than a shark.", "R--L-", "A shark is bigger than a seal."),
            ("A shark is bigger than a crab.", "R--L-", "Crab is not in the task. Seal is missing."),
            ("A shark is bigger", "R----", "Seal is missing. It is not well formed."),
            ("A shark a seal.", "RC---", "Bigger is missing. It is not well formed."),
            ("A whale is bigger than a crab.", "-----", OFF_TASK),
        ],
    ),
    (
        "Is a crab bigger than an owl?",
        &[
            ("An owl is bigger than a crab.", "RCFLE", FLAWLESS),
            ("A owl is bigger than a crab.", "RCF--", "It is not well formed."),
            ("A crab is bigger than an owl.", "R--L-", "An owl is bigger than a crab."),
        ],
    ),
    (
        "Sort from small to big: whale, crab, fox.",
        &[
            ("Crab, fox, whale.", "RCFLE", FLAWLESS),
            ("Crab, fox, whale. And so on and so on.", "RCFL-", "It adds needless words."),
            ("Crab fox whale", "RCF--", "It is not well formed."),
            ("Crab, fox, whale, crab.", "RCF--", "It repeats itself."),
            ("Crab, whale, fox.", "RC-L-", "A whale is bigger than a fox."),
            ("Whale, fox, crab.", "R--L-", "A fox is bigger than a crab. A whale is bigger than a crab."),
            ("Crab, fox.", "R--L-", "Whale is missing."),
            ("Crab, fox, whale, bear.", "RC-L-", "Bear is not in the task."),
            ("Crab", "R----", "Fox is missing. Whale is missing."),
            ("Hen, bear.", "-----", OFF_TASK),
        ],
    ),
    (
        "Order by size, small first: shark, hen.",
        &[("Hen, shark.", "RCFLE", FLAWLESS), ("Shark, hen.", "R--L-", "A shark is bigger than a hen.")],
    ),
    (
        "Write a kind reply to Anna, who lost her keys.",
        &[
            ("Dear Anna, I am sorry that you lost your keys. I hope you find them soon.", "RCFLE", FLAWLESS),
            (
                "Dear Anna, I am sorry that you lost your keys. I hope you find them soon. That is all I know about it.",
                "RCFL-",
                "It adds needless words.",
            ),
            (
                "Dear Anna I am sorry that you lost your keys I hope you find them soon",
                "RCF--",
                "It is not well formed.",
            ),
            (
                "Dear Maria, I am sorry that you lost your keys. I hope you find them soon.",
                "RC-L-",
                "The name is Anna.",
            ),
            (
                "Dear Anna, I am glad that you lost your keys. I hope you find them soon.",
                "RC-L-",
                "The tone should be sorry.",
            ),
            (
                "Dear Anna, I am sorry that you missed your train. I hope you find them soon.",
                "RC-L-",
                "It misses the event.",
            ),
            ("Dear Anna, I am sorry that you lost your keys. Give it a big hug.", "RC-L-", "The wish does not fit."),
            ("Dear Anna, I am sorry that you lost your keys.", "RC---", "It misses the wish. It is not well formed."),
            (
                "Dear Tom, I am glad that you lost your keys. I hope you find them soon.",
                "R--L-",
                "The name is Anna. The tone should be sorry.",
            ),
            ("Dear Anna, I am", "R----", "The tone should be sorry. It misses the event."),
            ("Crab, fox, whale.", "-----", OFF_TASK),
        ],
    ),
    (
        "Send a kind note to Leo, who got his dream job.",
        &[("Dear Leo, I am glad that you got your dream job. They are lucky to have you.", "RCFLE", FLAWLESS)],
    ),
    (
        "Write a two line rhyme about the old moon.",
        &[
            ("The old moon is slowly coming down,\nIt wears the morning like a crown.", "RCFLE", FLAWLESS),
            (
                "The old moon is slowly coming down,\nIt wears the morning like a crown. Thank you very much for asking.",
                "RCFL-",
                "It adds needless words.",
            ),
            (
                "The old moon is slowly coming down\nIt wears the morning like a crown",
                "RCF--",
                "It is not well formed.",
            ),
            (
                "The old moon is slowly coming down,\nIt sings a song about the sea.",
                "RC-L-",
                "Down and sea do not rhyme.",
            ),
            ("The old moon is slowly coming down,\nIt never lets me down.", "RC-L-", "Both lines end on down."),
            (
                "The old sun is slowly coming down,\nIt wears the morning like a crown.",
                "RC-L-",
                "The topic is the moon.",
            ),
            (
                "The sad moon is slowly coming down,\nIt wears the morning like a crown.",
                "RC-L-",
                "The moon should be old.",
            ),
            (
                "The sad moon is slowly coming down,\nIt sings a song about the sea.",
                "R--L-",
                "The moon should be old. Down and sea do not rhyme.",
            ),
            ("The old moon is slowly", "R----", "It needs two lines. It is not well formed."),
            ("The old moon,\nIt is fine.", "RC---", "The lines do not rhyme. It is not well formed."),
            ("Apple and cherry.", "-----", OFF_TASK),
        ],
    ),
    (
        "Say the opposite: the big cow is sad.",
        &[
            ("The small cow is happy.", "RCFLE", FLAWLESS),
            ("Well, I think that maybe the small cow is happy.", "RCFL-", "It adds needless words."),
            ("The small cow is happy", "RCF--", "It is not well formed."),
            ("The small cow is sad.", "RC-L-", "The opposite of sad is happy."),
            ("The big cow is happy.", "RC-L-", "The opposite of big is small."),
            ("The small pig is happy.", "RC-L-", "Cow is missing. Pig is not in the task."),
            ("The big cow is sad.", "R--L-", "The opposite of big is small. The opposite of sad is happy."),
            ("The happy cow is small.", "R--L-", "The opposite of big is small. The opposite of sad is happy."),
            ("The small cow is happy happy.", "RCF--", "It repeats itself."),
            ("The big cow", "R----", "The opposite of big is small. The opposite of sad is happy."),
            ("Dear Anna, I am glad.", "-----", OFF_TASK),
        ],
    ),
    (
        "What is a lemon?",
        &[
            ("A lemon is a yellow fruit that tastes sour.", "RCFLE", FLAWLESS),
            ("As far as I know, a lemon is a yellow fruit that tastes sour.", "RCFL-", "It adds needless words."),
            ("A lemon is a yellow fruit that tastes sour", "RCF--", "It is not well formed."),
            ("A lemon is a yellow fruit that tastes tastes sour.", "RCF--", "It repeats itself."),
            ("A lemon is a green fruit that tastes sour.", "RC-L-", "A lemon is yellow."),
            ("A lemon is a yellow fruit that tastes sweet.", "RC-L-", "A lemon tastes sour."),
            ("A lemon is a yellow vegetable that tastes sour.", "RC-L-", "A lemon is a fruit."),
            ("A lemon is a red fruit that tastes sweet.", "R--L-", "A lemon is yellow. A lemon tastes sour."),
            ("A lemon is", "R----", "A lemon is a fruit. A lemon is yellow."),
            ("An apple is a red fruit that tastes sweet.", "-----", OFF_TASK),
        ],
    ),
    (
        "Tell me what an oboe is.",
        &[
            ("An oboe is an instrument that is played with air.", "RCFLE", FLAWLESS),
            ("A oboe is an instrument that is played with air.", "RCF--", "It is not well formed."),
            ("An oboe is a red instrument that is played with air.", "RC-L-", "It adds needless words."),
            ("An oboe is an instrument that has strings.", "RC-L-", "An oboe is played with air."),
        ],
    ),
];

#[test]
fn every_answer_of_the_tables_gets_its_points_and_its_reason() {
    for (prompt, rows) in FAMILIES {
        for (answer, points, rationale) in *rows {
            let grade = oracle::grade(prompt, answer).expect("a prompt of this world");
            let won = grade.points;
            let code: String =
                [(won.relevant, 'R'), (won.covers, 'C'), (won.correct, 'F'), (won.clear, 'L'), (won.expert, 'E')]
                    .into_iter()
                    .map(|(won, letter)| if won { letter } else { '-' })
                    .collect();
            assert_eq!((code.as_str(), grade.rationale.as_str()), (*points, *rationale), "{prompt} {answer}");
            assert_eq!(usize::from(grade.score), points.matches(char::is_alphabetic).count(), "{prompt} {answer}");
        }
    }
}

#[test]
fn the_tables_win_and_lose_every_point_in_every_family() {
    let mut seen = [[[false; 2]; 5]; 8];
    for (prompt, rows) in FAMILIES {
        let family = Prompt::parse(prompt).expect("a prompt of this world").task.family();
        for (_, points, _) in *rows {
            for (point, letter) in points.chars().enumerate() {
                seen[family][point][usize::from(letter != '-')] = true;
            }
        }
    }
    assert_eq!(seen, [[[true; 2]; 5]; 8], "family, point, lost and won");
}

#[test]
fn capitals_and_spacing_of_an_answer_do_not_matter() {
    let prompt = "name  THREE red fruits .";
    for answer in ["apple , cherry and cranberry .", "  Apple,  Cherry AND cranberry ."] {
        assert_eq!(oracle::grade(prompt, answer).map(|grade| grade.score), Some(5), "{answer}");
    }
}

#[test]
fn what_is_no_prompt_of_this_world_has_no_grade() {
    for prompt in [
        "",
        "Name four red fruits.",
        "Name two brown fruits.",
        "Name two red fruits",
        "Which word is the fruit: pear, apple, bus?",
        "Which word is the fruit: pear, bus?",
        "Which is bigger, a horse or a cow?",
        "Which is bigger, a seal or a seal?",
        "Which is bigger, an seal or a shark?",
        "Sort from small to big: whale, crab, fox, hen.",
        "Sort from small to big: pig, seal.",
        "Write a kind reply to Anna, who lost his keys.",
        "Write a two line rhyme about the red moon.",
        "Say the opposite: the big cow is small.",
        "Say the opposite: the sad spoon is big.",
        "What is lemon?",
        "What is a unicorn?",
        "What is a lemon? What is a lemon?",
    ] {
        assert_eq!(oracle::grade(prompt, "A lemon is a yellow fruit that tastes sour."), None, "{prompt}");
    }
}

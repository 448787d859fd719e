#!/usr/bin/env bash
# A real engine on loopback as the teacher: `doctor --endpoint` says what it does not honour, then a whole teacher-reward run of the
# embedded world is played against it, killed once with kill -9 and resumed.
#
#   tests/long/teacher_loopback.sh MODEL_FOLDER [PYTHON]
#
# MODEL_FOLDER is a Hugging Face folder that `transformers serve` can load. For the run it must be able to judge: checkpoints/M1 of a
# run of the embedded world can (the base in assets/tiny cannot: then the run ends without a pair, as it should, and this script fails).
# TEXTS=full lets it read the long judge prompt. PYTHON must have torch, transformers, accelerate, fastapi, uvicorn, openai and rich;
# without it a virtual environment is made below the target folder.
# POLICY=llama trains the embedded model (needs a build with it); the default plays the model from a script. SELFREWARD names the program.
set -euo pipefail
cd "$(dirname "$0")/../.."

model=$(realpath "${1:?usage: $0 MODEL_FOLDER [PYTHON]}")
python=${2:-}
program=${SELFREWARD:-target/debug/selfreward}
policy=${POLICY:-rehearsal}
port=${PORT:-8765}
texts=${TEXTS:-short}
out=$(mktemp -d "${TMPDIR:-/tmp}/teacher-loopback.XXXXXX")
echo "everything is written to $out"

if [[ -z $python ]]; then
    python3 -m venv target/loopback-venv
    python=target/loopback-venv/bin/python
    "$python" -m pip install --quiet torch --index-url https://download.pytorch.org/whl/cpu
    "$python" -m pip install --quiet transformers accelerate fastapi uvicorn openai rich
fi

# The server samples only when its model's generation settings say so: the requests' temperature alone does not make it.
served="$out/served"
cp -rL "$model" "$served"
chmod -R u+w "$served"
"$python" - "$served/generation_config.json" <<'PYTHON'
import json, os, sys
path = sys.argv[1]
settings = json.load(open(path)) if os.path.exists(path) else {}
settings["do_sample"] = True
json.dump(settings, open(path, "w"), indent=2)
PYTHON

HF_HUB_OFFLINE=1 "$python" -m transformers.cli.transformers serve "$served" --host 127.0.0.1 --port "$port" --device cpu \
    > "$out/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 600); do
    curl --silent --fail --max-time 2 "http://127.0.0.1:$port/health" > /dev/null && break
    kill -0 "$server" 2>/dev/null || { tail -5 "$out/server.log"; echo "the server ended"; exit 1; }
    sleep 0.5
done

endpoint="http://127.0.0.1:$port/v1"
echo "== doctor --endpoint =="
"$program" doctor --endpoint "$endpoint" --model "$served" | tee "$out/doctor.txt"

echo "== a whole run =="
run=("$program" --runs "$out/runs")
began=$(date +%s)
"${run[@]}" run --name taught --policy "$policy" --recipe teacher-reward --yes --detach --gate off --iterations 1 \
    --set teacher.endpoint="$endpoint" --set teacher.model="$served" --set teacher.texts="$texts" --set teacher.max_tokens=48 --set teacher.concurrency=2 \
    --set judge.samples=1 --set prompts.count=16 --set data.limit=48 --set eval.instructions=4 --set eval.ranked=4
# Killed in the middle of its calls, then resumed: what was answered is not asked again.
for _ in $(seq 600); do
    answered=$("${run[@]}" status taught --json | "$python" -c 'import json,sys; t=json.load(sys.stdin)["teacher"]; print(t["answered"] if t else 0)')
    [[ $answered -ge 10 ]] && break
    sleep 0.5
done
kill -9 "$("${run[@]}" status taught --json | "$python" -c 'import json,sys; print(json.load(sys.stdin)["engine"]["pid"])')"
echo "killed after $answered answers"
"${run[@]}" resume taught --headless
echo "took $(($(date +%s) - began)) s"
"${run[@]}" status taught
"${run[@]}" metrics taught --judges
"${run[@]}" status taught --json | "$python" -c '
import json, sys
status = json.load(sys.stdin)
teacher = status["teacher"]
assert status["state"] == "finished", status["state"]
assert status["recipe"] == "teacher-reward"
assert teacher["answered"] > 30 and teacher["under_way"] == 0, teacher
assert teacher["lost"] <= 2, teacher
print("the run is finished:", teacher["answered"], "answers,", teacher["lost"], "of the kill counted in full")
'

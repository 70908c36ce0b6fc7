"""The loop that people write with Optimum: texts in the order of arrival, tokenized as they come, probabilities to a CSV file.

    python studies/scale/optimum_loop.py MODEL_FOLDER TEXTS.jsonl SCORES.csv BATCH_SIZE

For an environment that has Optimum; it needs nothing of driftgate.
"""

import csv
import json
import sys
from pathlib import Path

import torch
from optimum.onnxruntime import ORTModelForSequenceClassification
from transformers import AutoTokenizer


def main() -> None:
    folder, source, target, batch_size = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    model = ORTModelForSequenceClassification.from_pretrained(folder, file_name="model.onnx")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [json.loads(line)["text"] for line in source.read_text(encoding="utf-8").splitlines()]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        for start in range(0, len(texts), batch_size):
            batch = texts[start : start + batch_size]
            fed = tokenizer(batch, padding=True, truncation=True, max_length=512, return_tensors="pt")
            writer.writerows(torch.sigmoid(model(**fed).logits).tolist())


if __name__ == "__main__":
    main()

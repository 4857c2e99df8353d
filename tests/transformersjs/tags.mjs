// node tags.mjs FOLDER DTYPE < texts.json: for each text its tokens' best tags and its token ids, as JSON.
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { AutoModelForTokenClassification, AutoTokenizer, env, pipeline } from "@huggingface/transformers";

const [folder, dtype] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = dirname(folder);
const name = basename(folder);
const tokenizer = await AutoTokenizer.from_pretrained(name);
const model = await AutoModelForTokenClassification.from_pretrained(name, { dtype });
const pipe = await pipeline("token-classification", name, { dtype });

const answers = [];
for (const text of JSON.parse(readFileSync(0, "utf-8"))) {
  const inputs = await tokenizer(text);
  const { logits } = await model(inputs);
  const best = logits.tolist()[0].map((row) => row.indexOf(Math.max(...row)));
  answers.push({
    ids: inputs.input_ids.tolist()[0].map(Number),
    tags: best.map((index) => model.config.id2label[index]),
    pipeline: (await pipe(text)).map(({ index, entity }) => [index, entity]),
  });
}
console.log(JSON.stringify(answers));

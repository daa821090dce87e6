import OpenAI from "openai";

export async function answer(question, emit) {
  const client = new OpenAI({
    baseURL: question.base_url, apiKey: question.key, maxRetries: 0, timeout: question.timeout_s * 1000,
  });
  const stream = await client.chat.completions.create({
    model: "m", messages: question.messages, stream: true, ...question.options,
  });
  for await (const chunk of stream) {
    for (const choice of chunk.choices ?? []) if (!choice.index) emit(choice.delta?.content);
  }
}

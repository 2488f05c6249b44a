// Verifies messages as a receiver would that uses one of the libraries: one JSON object a line in
// ({library, secret, headers, body}), one a line out ({payload} or {error}).
"use strict";

const readline = require("node:readline");

const libraries = {
  standardwebhooks: require("standardwebhooks").Webhook,
  svix: require("svix").Webhook,
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { library, secret, headers, body } = JSON.parse(line);
  let answer;
  try {
    answer = { payload: new libraries[library](secret).verify(body, headers) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});

#!/usr/bin/env node
// A meta statistics server on the event loop.
//
// usage: server.js [PORT [META_PORT]]
'use strict';

const net = require('node:net');

const GREETING = 'meta-stats\nOne number or command in each line, please.\n';
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const MAX_LINE_BYTES = 65536;
// A client that has its last line gets so much time to close.
const LINGER_MS = 10_000;

/** Statistics of values that are not kept, by Welford's method. */
class Statistics {
  count = 0;
  sum = 0;
  #mean = 0;
  #squares = 0;

  add(value) {
    this.count += 1;
    this.sum += value;
    const distance = value - this.#mean;
    this.#mean += distance / this.count;
    this.#squares += distance * (value - this.#mean);
  }

  get mean() {
    return this.count > 0 ? this.#mean : undefined;
  }

  get stddev() {
    return this.count > 1 ? Math.sqrt(this.#squares / (this.count - 1)) : undefined;
  }

  toString() {
    return `count -> ${this.count}, mean -> ${this.mean}, stddev -> ${this.stddev}`;
  }
}

const means = new Statistics();

/** Sends the last line and closes as soon as the client has closed, too. */
function finish(socket, lastWords = '') {
  socket.end(lastWords, 'latin1');
  // Input is read and dropped: to close with unread input would reset the connection.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** A client of the primary port. */
class Session {
  #socket;
  #statistics = new Statistics();
  #partial = '';
  #tooLong = false;
  #over = false;

  constructor(socket) {
    this.#socket = socket;
    socket.setEncoding('latin1'); // one character for each byte
    socket.write(GREETING);
    socket.on('data', (text) => this.#receive(text));
    socket.on('end', () => this.#over || finish(socket));
    socket.on('error', () => socket.destroy());
  }

  #receive(text) {
    if (this.#over) return;
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop();
    let replies = '';
    for (const line of lines) {
      if (line.trim() === 'exit' && !this.#tooLong) {
        if (this.#statistics.count > 0) means.add(this.#statistics.mean);
        this.#over = true;
        return finish(this.#socket, `${replies}${this.#statistics}\n`);
      }
      replies += this.#reply(line);
      this.#tooLong = false;
    }
    if (this.#partial.length > MAX_LINE_BYTES) {
      this.#partial = '';
      this.#tooLong = true;
    }
    if (replies !== '' && !this.#socket.write(replies, 'latin1')) {
      // No more requests before the client has read these replies.
      this.#socket.pause();
      this.#socket.once('drain', () => this.#socket.resume());
    }
  }

  #reply(line) {
    const word = line.replace(/^ +|[ \r]+$/g, '');
    if (this.#tooLong) return 'Sorry, that line is too long\n';
    if (['count', 'sum', 'mean', 'stddev'].includes(word)) {
      return `${word}: ${this.#statistics[word]}\n`;
    }
    if (NUMBER.test(word) && Number.isFinite(Number(word))) {
      this.#statistics.add(Number(word));
      return '';
    }
    return `Sorry, I do not understand ${JSON.stringify(word.slice(0, 60))}\n`;
  }
}

/** A client of the secondary port. */
function report(socket) {
  socket.on('error', () => socket.destroy());
  finish(socket, `${means}\n`);
}

const port = Number(process.argv[2] ?? 8000);
const metaPort = Number(process.argv[3] ?? port + 1);
const options = { allowHalfOpen: true };
net.createServer(options, (socket) => new Session(socket)).listen(port, '127.0.0.1');
net.createServer(options, report).listen(metaPort, '127.0.0.1');

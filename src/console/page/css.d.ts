/** Styles are for the bundler: importing one puts it into the console's style sheet. */
declare module '*.css'

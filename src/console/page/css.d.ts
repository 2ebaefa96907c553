/** The bundler adds each imported style sheet to the console's own. */
declare module '*.css'
